"""The latent noise as a distribution, and its gradient as the exact one of a draw."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from alp.config import PurifierConfig
from alp.defences import LatentNoise
from alp.seeding import Shard, generator, normal

KINDS = ["learned", "per-channel", "fixed"]
every_kind = pytest.mark.parametrize("kind", KINDS)


def noise_of(kind: str, sigma: float = 0.3, channels: int = 4) -> LatentNoise:
    noise = LatentNoise(PurifierConfig(latent_channels=channels, noise=kind, sigma=sigma))
    if kind == "per-channel":
        with torch.no_grad():
            noise.rho += torch.arange(channels).view(-1, 1, 1)
    return noise


def latent(batch: int = 3, channels: int = 4) -> Tensor:
    return 2 * normal((batch, channels, 6, 5), generator(0, "mu"))


@every_kind
def test_the_noise_is_gaussian_with_the_stated_sigma(kind: str) -> None:
    noise, mu = noise_of(kind), latent(200)
    with torch.no_grad():
        z = noise(mu, generator(1, "noise"))
        n = (z - mu) / noise.sigma
    assert stats.kstest(n.flatten().numpy(), "norm").pvalue > 0.01
    for channel in range(4):  # a wrong sigma of one channel would drown in the whole
        assert stats.kstest(n[:, channel].flatten().numpy(), "norm").pvalue > 0.01


@every_kind
def test_the_noise_is_independent_over_positions(kind: str) -> None:
    n = noise_of(kind)(torch.zeros(4000, 4, 2, 2), generator(2, "noise")).detach()
    correlation = torch.corrcoef(n.flatten(1).T) - torch.eye(16)
    assert correlation.abs().max() < 5 / 4000**0.5


@pytest.mark.parametrize("sigma", [1e-4, 0.219, 1.0, 30.0])
@every_kind
def test_sigma_starts_where_it_is_put(kind: str, sigma: float) -> None:
    noise = LatentNoise(PurifierConfig(latent_channels=4, noise=kind, sigma=sigma))
    assert noise.sigma.shape == ((4, 1, 1) if kind == "per-channel" else ())
    assert torch.allclose(noise.sigma, torch.tensor(sigma), rtol=1e-5)


@every_kind
def test_sigma_is_trainable_unless_fixed_and_always_saved(kind: str) -> None:
    noise = noise_of(kind)
    assert [name for name, _ in noise.named_parameters()] == ([] if kind == "fixed" else ["rho"])
    assert list(noise.state_dict()) == ["rho"]


def test_sigma_stays_positive_wherever_training_drives_it() -> None:
    noise = noise_of("learned")
    for rho in (-50.0, 0.0, 50.0):
        noise.rho.data.fill_(rho)
        assert noise.sigma > 0


@every_kind
def test_override(kind: str) -> None:
    noise, mu = noise_of(kind), latent()
    assert torch.equal(noise(mu, generator(0, "noise"), 0), mu)
    z = noise(mu, generator(0, "noise"), 2.5)
    assert torch.allclose(z, mu + 2.5 * normal(mu.shape, generator(0, "noise")))


@every_kind
def test_the_same_source_gives_the_same_draw_and_another_another(kind: str) -> None:
    noise, mu = noise_of(kind), latent()
    z = noise(mu, generator(0, "noise"))
    assert torch.equal(z, noise(mu, generator(0, "noise")))
    assert not torch.equal(z, noise(mu, generator(1, "noise")))
    source = generator(0, "noise")
    assert not torch.equal(noise(mu, source), noise(mu, source))


@every_kind
def test_shards_draw_what_one_process_draws(kind: str) -> None:
    noise, mu = noise_of(kind), latent(4)
    parts = [noise(mu[2 * r : 2 * r + 2], Shard(generator(0, "n"), r, 2)) for r in range(2)]
    assert torch.equal(torch.cat(parts), noise(mu, generator(0, "n")))


@every_kind
def test_the_gradient_of_a_draw_is_exact(kind: str) -> None:
    """Finite differences in float64 with common random numbers, for mu and for rho."""
    noise = noise_of(kind).double()
    mu = latent().double().requires_grad_()
    rho = noise.rho.detach().clone().requires_grad_()

    def draw(mu: Tensor, rho: Tensor) -> Tensor:
        return functional_call(noise, {"rho": rho}, (mu, generator(0, "noise")))

    assert torch.autograd.gradcheck(draw, (mu, rho))


def test_the_gradient_reaches_rho_through_softplus() -> None:
    noise, mu = noise_of("learned"), latent()
    noise(mu, generator(0, "noise")).sum().backward()
    n = normal(mu.shape, generator(0, "noise"))
    expected = n.sum() * torch.sigmoid(noise.rho.detach())  # the derivative of softplus
    assert torch.allclose(noise.rho.grad, expected, rtol=1e-4)
    assert torch.equal(noise.sigma, F.softplus(noise.rho))

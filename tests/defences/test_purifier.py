"""What holds for a purifier of every kind of noise."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from alp.errors import ConfigError
from alp.seeding import Shard, generator

SIZES = [(2, 32, 32), (1, 32, 32), (3, 30, 37), (2, 4, 4), (2, 1, 1), (1, 5, 64)]
every_size = pytest.mark.parametrize("size", SIZES, ids=str)


@every_size
def test_images_come_back_as_images(purifier, new_images, size) -> None:
    x = new_images(*size)
    before, weights = x.clone(), {k: v.clone() for k, v in purifier.state_dict().items()}
    out = purifier(x, generator(0, "draw"))
    assert out.shape == x.shape
    assert out.dtype == torch.float32
    assert out.min() >= 0
    assert out.max() <= 1
    assert torch.equal(x, before)
    assert all(torch.equal(value, weights[k]) for k, value in purifier.state_dict().items())


def test_a_large_noise_is_still_clamped_to_an_image(purifier, new_images) -> None:
    out = purifier(new_images(2, 16, 16), generator(0, "draw"), sigma=50.0)
    assert out.aminmax() == (0, 1)


@every_size
def test_the_latent_has_a_quarter_of_the_size(purifier, new_images, size) -> None:
    batch, height, width = size
    mu = purifier.encode(new_images(*size))
    assert mu.shape == (batch, 8, -(-height // 4), -(-width // 4))


def test_odd_sizes_are_padded_by_replication_and_cropped(purifier, new_images) -> None:
    x = new_images(2, 30, 37)
    whole = purifier(F.pad(x, (0, 3, 0, 2), mode="replicate"), generator(0, "draw"))
    assert torch.equal(purifier(x, generator(0, "draw")), whole[..., :30, :37])


@pytest.mark.parametrize("training", [False, True])
def test_an_image_is_purified_alone(purifier, new_images, training: bool) -> None:
    """No batch statistics, in training neither."""
    purifier.train(training)
    x = new_images(3, 16, 16)
    one = purifier(x[1:2], generator(0, "draw"), sigma=0)
    assert torch.allclose(purifier(x, generator(0, "draw"), sigma=0)[1:2], one, atol=1e-6)


def test_every_pixel_counts(purifier, new_images) -> None:
    x = new_images(1, 16, 16).requires_grad_()
    purifier.decode(purifier.encode(x), (16, 16)).square().sum().backward()
    assert (x.grad != 0).all()


def test_draws_are_a_function_of_the_source_alone(purifier, new_images) -> None:
    x = new_images(2, 16, 16)
    state = torch.get_rng_state()
    out = purifier(x, generator(0, "draw"))
    torch.rand(1)
    assert torch.equal(purifier(x, generator(0, "draw")), out)
    assert not torch.equal(purifier(x, generator(1, "draw")), out)
    torch.set_rng_state(state)
    purifier(x, generator(0, "draw"))
    assert torch.equal(torch.get_rng_state(), state)


def test_without_a_source_no_two_calls_agree(purifier, new_images) -> None:
    """Nor can anyone make them: the global seed has no say."""
    x, state = new_images(2, 16, 16), torch.get_rng_state()
    first = purifier(x)
    torch.set_rng_state(state)
    assert not torch.equal(purifier(x), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_two_images_of_a_batch_get_different_noise(purifier, new_images) -> None:
    x = new_images(1, 16, 16).repeat(2, 1, 1, 1)
    first, second = purifier(x, generator(0, "draw"))
    assert not torch.equal(first, second)


def test_many_draws_come_draw_after_draw(purifier, new_images) -> None:
    mu = purifier.encode(new_images(2, 16, 16))
    together = purifier.draw(mu, generator(0, "draw"), (16, 16), draws=3)
    source = generator(0, "draw")
    each = [purifier.draw(mu, source, (16, 16)) for _ in range(3)]
    assert together.shape == (6, 3, 16, 16)
    assert torch.allclose(together, torch.cat(each), atol=1e-6)
    assert not torch.equal(each[0], each[1])


def test_sigma_zero_decodes_the_mean_whatever_the_source(purifier, new_images) -> None:
    x = new_images(2, 16, 16)
    out = purifier(x, generator(0, "draw"), sigma=0)
    assert torch.equal(out, purifier(x, generator(1, "draw"), sigma=0))
    assert torch.equal(out, purifier.decode(purifier.encode(x), (16, 16)).clamp(0, 1))


def test_shards_purify_what_one_process_does(purifier, new_images) -> None:
    x = new_images(4, 16, 16)
    parts = [purifier(x[2 * r : 2 * r + 2], Shard(generator(0, "n"), r, 2)) for r in range(2)]
    assert torch.allclose(torch.cat(parts), purifier(x, generator(0, "n")), atol=1e-6)


@pytest.mark.parametrize(
    "shape", [(3, 32, 32), (2, 1, 32, 32), (2, 32, 32, 3), (32, 32), (0, 3, 8, 8)]
)
def test_what_is_no_batch_of_rgb_images_is_refused(purifier, shape) -> None:
    with pytest.raises(ConfigError, match="batch, 3, height, width"):
        purifier.encode(torch.zeros(shape))


def reaches_the_input(purifier, x, **options) -> bool:
    x = x.clone().requires_grad_()
    out = purifier(x, generator(0, "draw"), **options)
    (gradient,) = torch.autograd.grad(out.sum(), x, allow_unused=True)
    return gradient is not None and bool((gradient != 0).any())


@pytest.mark.parametrize("configured", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("asked", [None, False, True])
def test_stop_gradient(new_purifier, new_images, configured, training, asked) -> None:
    """As asked for, else as configured; what is configured never counts in training."""
    purifier = new_purifier(stop_gradient=configured).train(training)
    cut = (configured and not training) if asked is None else asked
    x = new_images(2, 16, 16)
    assert reaches_the_input(purifier, x, stop_gradient=asked) is not cut


def test_stop_gradient_changes_no_image(new_purifier, new_images) -> None:
    x = new_images(2, 16, 16)
    cut, whole = (new_purifier(stop_gradient=stop) for stop in (True, False))
    assert torch.equal(cut(x, generator(0, "draw")), whole(x, generator(0, "draw")))


def test_the_gradient_of_a_draw_is_exact_through_the_whole_purifier(purifier, new_images) -> None:
    """A directional derivative in float64, with common random numbers."""
    purifier.double()
    x = (0.3 + 0.4 * new_images(2, 8, 8)).double().requires_grad_()
    direction = new_images(2, 8, 8, seed=1).double() - 0.5

    def value(x: torch.Tensor) -> torch.Tensor:
        return purifier(x, generator(0, "draw")).pow(3).sum()

    (gradient,) = torch.autograd.grad(value(x), x)
    with torch.no_grad():
        step = 1e-6 * direction
        slope = (value(x + step) - value(x - step)) / 2e-6
    assert torch.allclose((gradient * direction).sum(), slope, rtol=1e-5)


def test_sigma_is_the_mean_over_channels(purifier) -> None:
    assert purifier.sigma == pytest.approx(purifier.noise.sigma.mean().item())

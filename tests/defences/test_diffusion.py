"""Diffusion against closed forms: the noise predictor of a distribution that is one image."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from alp.config import DiffusionConfig
from alp.defences.chain import SAMPLERS, schedule
from alp.defences.checkpoint import load_model, save
from alp.defences.densepure import DensePure, time_of
from alp.defences.diffpure import GDMP, DiffPure, OneStep
from alp.defences.diffusion import Diffusion, alpha_bar, deviation
from alp.defences.purified import Defended
from alp.defences.smoothed import Smoothed
from alp.defences.smoothing import InputNoise
from alp.errors import ConfigError, UnknownNameError
from alp.seeding import Common, generator, initialising, normal


class Oracle(nn.Module):
    """The exact noise predictor of Gaussian data around an image in [-1,1], with this variance."""

    def __init__(self, image: Tensor, variance: float = 0.0) -> None:
        super().__init__()
        self.image, self.variance, self.times = image, variance, []

    def forward(self, z: Tensor, times: Tensor) -> Tensor:
        self.times.append(int(times[0]))
        share = alpha_bar()[times].view(-1, 1, 1, 1)
        spread = share * self.variance + 1 - share
        return (1 - share).sqrt() * (z - share.sqrt() * self.image) / spread


def model_of(network: nn.Module) -> Diffusion:
    model = Diffusion(DiffusionConfig(width=1)).eval()
    model.network = network
    return model


@pytest.fixture
def trained() -> Diffusion:
    """A small model whose every weight counts."""
    with initialising(0, "diffusion"):
        model = Diffusion(DiffusionConfig(width=4)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * normal(parameter.shape, generator(0, "stir"))
    return model


def source(seed: int = 0) -> torch.Generator:
    return generator(seed, "chain")


def test_the_signal_is_ho_s() -> None:
    signal = alpha_bar()
    assert signal[0] == 1
    assert float(signal[1]) == pytest.approx(1 - 1e-4)
    assert float(signal[1000]) == pytest.approx(4.04e-5, rel=0.01)
    assert deviation(100) == pytest.approx(0.1694, abs=0.0001)


@pytest.mark.slow
def test_another_process_reads_what_was_saved(trained, new_classifier, tmp_path) -> None:
    """There the modules are first imported while a model is asked for its shapes alone."""
    save(DensePure(new_classifier(), trained), tmp_path / "weights")
    code = "import sys; from alp.defences.checkpoint import load_model; load_model(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, tmp_path / "weights"], check=True)


@pytest.mark.parametrize(
    "around",
    [
        lambda base, purifier: Smoothed(base, 0.25, 3),
        lambda base, purifier: InputNoise(base, 0.25),
        lambda base, purifier: Defended(base, purifier),
    ],
    ids=["votes", "noise", "purifier"],
)
def test_a_defence_inside_another_comes_back_from_a_file(
    around, trained, new_classifier, new_purifier, tmp_path
) -> None:
    model = around(DensePure(new_classifier(), trained, seeds=3), new_purifier()).eval()
    save(model, tmp_path / "weights")
    back = load_model(tmp_path / "weights")
    x = torch.full((1, 3, 8, 8), 0.5)
    assert back.describe() == model.describe()
    assert back.classifier.settings["seeds"] == 3
    assert torch.equal(back.predict(x, Common(source()), 3), model.predict(x, Common(source()), 3))


@pytest.mark.parametrize("time", [1, 7, 100])
def test_a_schedule_goes_down_to_zero(time: int) -> None:
    for steps in {1, 2, time}:
        taken = schedule(time, min(steps, time))
        assert taken[0][0] == time
        assert taken[-1][1] == 0
        assert len(taken) == min(steps, time)
        assert all(t > s for t, s in taken)


@pytest.mark.parametrize("steps", [1, 4, 20])
def test_a_perfect_network_brings_back_its_image(steps: int, new_images) -> None:
    clean, x = new_images(1, 8, 8), new_images(1, 8, 8, seed=1)
    oracle = Oracle(2 * clean - 1)
    chain = DiffPure(nn.Flatten(), model_of(oracle), 20, steps, gradient_steps=1)
    assert torch.allclose(chain.purify(x, source()), clean, atol=1e-4)
    assert oracle.times == [t for t, _ in schedule(20, steps)]
    one = OneStep(nn.Flatten(), model_of(oracle), 20)
    assert torch.allclose(one.purify(x, source()), clean, atol=1e-4)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_chain_gives_back_the_distribution(sampler: str) -> None:
    """From Gaussian data noised up to a time, the reverse process of the exact predictor comes back
    to the same Gaussian: its mean and its variance."""
    variance = 0.04
    model = model_of(Oracle(torch.zeros(1, 3, 64, 64), variance))
    chain = DiffPure(nn.Flatten(), model, 100, 100, sampler, gradient_steps=1)
    data = variance**0.5 * normal((4, 3, 64, 64), generator(0, "data"))
    image = 2 * chain.purify((data + 1) / 2, source()) - 1
    assert float(image.mean()) == pytest.approx(0, abs=0.01)
    assert float(image.std()) == pytest.approx(variance**0.5, rel=0.05)
    assert abs(float((image * data).mean()) / variance) < 0.75, "it has forgotten part of the image"


def test_noise_is_added_as_far_as_the_first_step() -> None:
    """A network that predicts none leaves the noisy image, scaled."""

    class Silent(nn.Module):
        def forward(self, z: Tensor, times: Tensor) -> Tensor:
            return torch.zeros_like(z)

    x = torch.full((1, 3, 64, 64), 0.5)
    image = OneStep(nn.Flatten(), model_of(Silent())).purify(x, source())
    assert float(image.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(image.std()) == pytest.approx(deviation(100), rel=0.05)


def test_guidance_draws_to_the_image(new_images) -> None:
    """The predictor of another image alone gives that image; guided, the given one shows."""
    other, x = new_images(1, 8, 8), new_images(1, 8, 8, seed=1)
    model = model_of(Oracle(2 * other - 1, variance=0.05))

    def distance(guidance: float) -> float:
        chain = GDMP(nn.Flatten(), model, 100, 100, 1, guidance)
        return float((chain.purify(x, source()) - x).square().mean())

    assert distance(300.0) < 0.7 * distance(0.0)
    plain = DiffPure(nn.Flatten(), model, 36, 36, gradient_steps=1)
    unguided = GDMP(nn.Flatten(), model, 36, 36, 1, 0.0)
    assert torch.equal(unguided.purify(x, source()), plain.purify(x, source()))


def test_attackers_see_the_shorter_chain_and_judges_the_whole_one(
    trained, new_classifier, new_images
) -> None:
    x, head = new_images(2, 8, 8), new_classifier()
    short = DiffPure(head, trained, 20, 20, gradient_steps=2)
    assert "2 steps in place of 20" in short.surrogate
    exact = DiffPure(head, trained, 20, 20, gradient_steps=20)
    assert not exact.surrogate
    two = DiffPure(head, trained, 20, 2, gradient_steps=2)
    assert torch.equal(short.logits(x, source(), 1), two.logits(x, source(), 1))
    assert not torch.allclose(short.logits(x, source(), 1), exact.logits(x, source(), 1))
    assert torch.equal(short(x, source()), exact(x, source()))
    assert torch.equal(short.bpda(x, source(), 1), exact.bpda(x, source(), 1))


def test_what_is_computed_again_is_the_same(trained, new_classifier, new_images, monkeypatch):
    """The gradient by checkpoints is the gradient without them."""
    x = new_images(2, 8, 8).requires_grad_()
    chain = GDMP(new_classifier(), trained, 8, 4, 2, gradient_steps=4)

    def gradient() -> Tensor:
        return torch.autograd.grad(chain.logits(x, source(), 1).square().sum(), x)[0]

    kept = gradient()
    monkeypatch.setattr(
        "alp.defences.chain.checkpoint", lambda call, *given, **options: call(*given)
    )
    assert torch.allclose(kept, gradient(), rtol=1e-4, atol=1e-7)


def test_seeds_vote_and_do_not_depend_on_the_images_beside(trained, new_classifier, new_images):
    x, head = new_images(3, 8, 8), new_classifier()
    base = DensePure(head, trained, 0.2, steps=3, seeds=7)
    votes = base(x)
    assert torch.equal(votes.sum(1), torch.full((3,), 7.0))
    assert torch.equal(base(x[1:2]), votes[1:2])
    one = DensePure(head, trained, 0.2, steps=1, seeds=1)
    z = alpha_bar()[one.time].sqrt() * (2 * x - 1)
    clean = (trained.denoised(z, torch.full((3,), one.time)) + 1) / 2
    assert torch.equal(one(x).argmax(1), head(clean.clamp(0, 1)).argmax(1))


@pytest.mark.parametrize("sigma", [0.05, 0.12, 0.25])
def test_the_time_has_the_noise_of_sigma(sigma: float, trained) -> None:
    assert deviation(time_of(sigma, trained)) == pytest.approx(sigma, abs=0.002)


def test_common_draws_give_every_image_the_same_noise(trained, new_classifier, new_images) -> None:
    x = new_images(2, 8, 8)
    chain = DiffPure(new_classifier(), trained, 8, 4, gradient_steps=4)
    both = chain.logits(x, Common(source()), 1)
    alone = chain.logits(x[1:], Common(source()), 1)
    assert torch.allclose(both[:, 1:], alone, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda model: DiffPure(nn.Flatten(), model, 171), "the time of DiffPure is 171"),
        (lambda model: DiffPure(nn.Flatten(), model, 50), "the steps of DiffPure is 100"),
        (lambda model: DiffPure(nn.Flatten(), model, 0), "the time of DiffPure is 0"),
        (lambda model: DiffPure(nn.Flatten(), model, gradient_steps=101), "gradient_steps.* 101"),
        (lambda model: OneStep(nn.Flatten(), model, 171), "the time of OneStep is 171"),
        (lambda model: GDMP(nn.Flatten(), model, rounds=0), "the rounds of GDMP is 0"),
        (lambda model: GDMP(nn.Flatten(), model, guidance=-1.0), "the guidance of GDMP is -1"),
        (lambda model: DensePure(nn.Flatten(), model, 0.4), "trained up to 0.298"),
        (lambda model: DensePure(nn.Flatten(), model, seeds=0), "DensePure's seeds is 0"),
        (lambda model: DensePure(nn.Flatten(), model, math.nan), "DensePure's sigma is nan"),
    ],
)
def test_impossible_settings_are_refused(make, message: str, trained) -> None:
    with pytest.raises(ConfigError, match=message):
        make(trained)


def test_an_unknown_sampler_lists_the_valid_ones(trained) -> None:
    with pytest.raises(UnknownNameError, match=r"sampler 'euler'.*ddpm"):
        DiffPure(nn.Flatten(), trained, sampler="euler")


@pytest.mark.parametrize("kind", [DiffPure, GDMP])
def test_a_chain_may_predict_its_noise_in_bfloat16(kind, trained, new_images) -> None:
    """The noise alone: what is purified is float32, close to what float32 makes, and has a
    gradient."""
    x = new_images(2, 8, 8)
    plain, low = (
        kind(nn.Flatten(), trained, 8, 4, gradient_steps=2, precision=each)
        for each in ("float32", "bfloat16")
    )
    with torch.no_grad():
        exact, near = (each.purify(x, source()) for each in (plain, low))
    assert near.dtype == torch.float32
    assert not torch.equal(exact, near)
    assert torch.allclose(exact, near, atol=0.02)
    point = x.clone().requires_grad_()
    low.logits(point, source(), 1).sum().backward()
    assert bool(point.grad.abs().sum() > 0)
    assert low.settings["precision"] == "bfloat16"
    with pytest.raises(UnknownNameError, match=r"precision 'int8'.*bfloat16, float32"):
        kind(nn.Flatten(), trained, precision="int8")


def test_any_size_of_image_works(trained, new_images) -> None:
    x = new_images(1, 9, 7)
    assert trained(x, source()).shape == x.shape

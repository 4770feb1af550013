"""Certificates of classifiers whose true radius is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import alp
from alp.config import ClassifierConfig
from alp.defences import InputNoise, ResNetLite
from alp.defences.plan import BLOCK, SamplingPlan
from alp.defences.smoothed import ABSTAIN, Smoothed
from alp.errors import ConfigError

SHAPE = (3, 2, 2)
SIGMA = 0.25


class Linear(nn.Module):
    """Two classes, divided by a hyperplane: the margin is the smoothed classifier's true radius
    (Cohen et al. 2019, proposition 4)."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("weight", torch.randn(12, generator=generator).double())
        self.register_buffer("bias", (self.weight * 0.5).sum())
        self.eval()

    def margin(self, x: Tensor) -> Tensor:
        """Signed distance to the hyperplane, (B,); x uint8."""
        value = (x.double() / 255).flatten(1) @ self.weight - self.bias
        return value / self.weight.norm()

    def forward(self, x: Tensor) -> Tensor:
        value = x.double().flatten(1) @ self.weight - self.bias
        return torch.stack([torch.zeros_like(value), value], 1)


def images(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, *SHAPE), dtype=torch.uint8, generator=generator)


def test_no_radius_exceeds_the_margin_of_a_linear_classifier() -> None:
    """300 images at alpha 0.001: three false certificates or more have a probability of 0.004."""
    base, x = Linear(), images(300)
    told = Smoothed(base, SIGMA).certify(x, radii=(0.0, 0.1, 0.2), budget=2_000, seed=1)
    margin = base.margin(x)
    right = told.prediction == (margin > 0).long()
    sure = told.prediction != ABSTAIN
    wrong = sure & (~right | (told.radius > margin.abs()))
    assert int(wrong.sum()) <= 2
    assert int(sure.sum()) > 200
    assert bool((told.radius[sure] > 0.5 * margin.abs()[sure]).float().mean() > 0.5)


def test_many_votes_come_close_to_the_margin() -> None:
    base = Linear()
    x = images(400)
    x = x[(base.margin(x).abs() - 0.3).abs().argsort()[:1]]
    told = Smoothed(base, SIGMA).certify(x, budget=100_000, method="fixed", radii=(0.0,), seed=2)
    ratio = float(told.radius / base.margin(x).abs())
    assert 0.95 <= ratio <= 1


def test_an_image_beside_the_boundary_is_left_open() -> None:
    base = Linear()
    x = images(2000)
    near = x[base.margin(x).abs().argsort()[:1]]
    assert Smoothed(base, SIGMA).predict(near, budget=500, seed=0).tolist() == [ABSTAIN]


def test_the_votes_on_an_image_do_not_depend_on_the_images_beside_it() -> None:
    smoothed, x = Smoothed(Linear(), SIGMA), images(12)
    together = smoothed.certify(x, seed=5)
    alone = [smoothed.certify(x[row : row + 1], seed=5) for row in range(len(x))]
    assert torch.equal(together.votes, torch.cat([each.votes for each in alone]))


def test_a_decided_image_gets_no_more_votes() -> None:
    base, x = Linear(), images(100)
    told = Smoothed(base, SIGMA).certify(x, radii=(0.0,), budget=20_000, seed=3)
    easy = base.margin(x).abs() > 0.4
    assert int(told.votes[easy].sum(1).max()) <= 2 * BLOCK
    assert int(told.votes.sum(1).max()) > 4 * BLOCK


def test_an_image_between_the_points_of_the_lattice_pays_for_it() -> None:
    smoothed, x = Smoothed(Linear(), SIGMA), images(1)
    exact = smoothed.certify(x, seed=4)
    moved = smoothed.certify((x.float() / 255 + 1 / 9000).clamp(0, 1), seed=4)
    assert torch.equal(exact.votes, moved.votes)
    assert 0 < float(exact.radius - moved.radius) <= smoothed.rounding(SHAPE)


def test_logits_are_counts() -> None:
    counts = Smoothed(Linear(), SIGMA)(
        images(3).float() / 255, torch.Generator().manual_seed(0), draws=50
    )
    assert counts.sum(1).tolist() == [50, 50, 50]


@pytest.mark.parametrize("draws", [1, 50, BLOCK, BLOCK + 1, 2 * BLOCK + 7])
def test_only_the_votes_that_count_are_computed(draws: int) -> None:
    """And they are the first of a longer vote on the same noise."""
    base, x, seen = Linear(), images(2).float() / 255, []
    base.register_forward_pre_hook(lambda module, given: seen.append(len(given[0])))
    smoothed = Smoothed(base, SIGMA)
    counts = smoothed(x, torch.Generator().manual_seed(0), draws=draws)
    assert sum(seen) == draws * len(x)
    more = smoothed(x, torch.Generator().manual_seed(0), draws=draws + 1)
    assert ((more - counts).sum(1) == 1).all()
    assert (more >= counts).all()


def test_without_a_seed_the_noise_is_the_operating_systems() -> None:
    smoothed, x = Smoothed(Linear(), SIGMA), images(4)
    first, second = (smoothed.certify(x, radii=(0.0,), budget=256).votes for _ in range(2))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("base", [InputNoise(Linear(), 0.1), Smoothed(Linear(), 0.1)])
def test_a_mean_of_logits_is_no_base(base: nn.Module) -> None:
    with pytest.raises(ConfigError, match=r"averages logits.*Smoothed\(model.classifier, sigma\)"):
        Smoothed(base.eval(), SIGMA)


def test_a_base_in_training_mode_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"\.eval\(\)"):
        Smoothed(Linear().train(), SIGMA)


class Features(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


class Broken(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.full((len(x), 3), math.nan)


@pytest.mark.parametrize(
    ("base", "words"), [(Features(), "answers with logits"), (Broken(), "answers NaN")]
)
def test_a_base_that_gives_no_votes_is_refused(base: nn.Module, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Smoothed(base.eval(), SIGMA).predict(images(1))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"radii": (0.5,), "budget": 128}, "even if all agree; give a budget of"),
        ({"radii": (3.0,)}, "no number of votes certifies the radius 3"),
        ({"radii": (0.5,), "budget": 200, "method": "fixed"}, "give a budget of 3"),
        ({"radii": (0.5, 0.25)}, "each above the one before"),
        ({"radii": ()}, "give numbers from 0 upwards"),
        ({"radii": (math.nan,)}, "give numbers from 0 upwards"),
        ({"alpha": 0.0}, "alpha is 0.0"),
        ({"budget": 0}, "budget is 0"),
        ({"method": "guess"}, "guess"),
    ],
)
def test_a_plan_that_cannot_certify_is_refused(settings: dict, words: str) -> None:
    with pytest.raises(alp.AlpError, match=words):
        Smoothed(Linear(), SIGMA).certify(images(1), **settings)


def test_the_votes_that_a_refusal_names_would_do() -> None:
    with pytest.raises(ConfigError) as refused:
        SamplingPlan((0.5,), 0.001, 128).require_possible(SIGMA, 0.0)
    votes = int(str(refused.value).split("budget of ")[2].split(" ")[0].replace(",", ""))
    SamplingPlan((0.5,), 0.001, votes).require_possible(SIGMA, 0.0)


def test_it_is_saved_and_loaded(tmp_path) -> None:
    model = Smoothed(ResNetLite(ClassifierConfig("tiny")).eval(), SIGMA, precision="bfloat16")
    alp.save(model, tmp_path / "weights.safetensors")
    found = alp.load(tmp_path / "weights.safetensors")
    assert found.describe() == model.describe()
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(found.predict(x, seed=1, budget=128), model.predict(x, seed=1, budget=128))

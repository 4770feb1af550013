"""The defended model: the mean over draws of any classifier behind any purifier."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from alp.defences import DRAWS, Defended, defend
from alp.defences.classifier import SIZES
from alp.errors import ConfigError
from alp.seeding import Shard, generator

SMALL = [size for size in SIZES if size != "base"]


class Counting(nn.Module):
    """A module around another one that counts its calls and their images."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.images: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.images.append(len(x))
        return self.inner(x)


@pytest.fixture
def defended(purifier, new_classifier) -> Defended:
    return defend(new_classifier(), purifier, draws=3).eval()


@pytest.mark.parametrize("size", SIZES)
def test_every_size_behind_every_noise(new_classifier, purifier, new_images, size: str) -> None:
    logits = defend(new_classifier(size), purifier, 2)(new_images(2, 30, 37), generator(0, "d"))
    assert logits.shape == (2, 4)
    assert logits.isfinite().all()


@pytest.mark.parametrize("size", SMALL)
@pytest.mark.parametrize(("batch", "draws"), [(1, 5), (20, 7), (40, 2), (70, 2), (2, 70)])
def test_it_is_the_mean_of_draws_made_by_hand(
    new_classifier, new_purifier, new_images, size: str, batch: int, draws: int
) -> None:
    """However the draws are grouped into batches."""
    classifier, purifier, x = new_classifier(size), new_purifier(), new_images(batch, 16, 16)
    logits = defend(classifier, purifier, draws)(x, generator(0, "draw"))
    source = generator(0, "draw")
    mu = purifier.encode(x)
    by_hand = [
        classifier(purifier.decode(purifier.noise(mu, source), (16, 16)).clamp(0, 1))
        for _ in range(draws)
    ]
    assert torch.allclose(logits, torch.stack(by_hand).mean(0), rtol=1e-4, atol=1e-5)


def test_draws_are_a_function_of_the_source_alone(defended, new_images) -> None:
    x, state = new_images(2, 16, 16), torch.get_rng_state()
    logits = defended(x, generator(0, "draw"))
    assert torch.equal(defended(x, generator(0, "draw")), logits)
    assert not torch.equal(defended(x, generator(1, "draw")), logits)
    assert torch.equal(torch.get_rng_state(), state)


def test_without_a_source_no_two_calls_agree(defended, new_images) -> None:
    x, state = new_images(2, 16, 16), torch.get_rng_state()
    assert not torch.equal(defended(x), defended(x))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("batch", "draws"), [(1, 20), (5, 20), (100, 3)])
def test_the_encoder_runs_once(new_classifier, new_purifier, new_images, batch, draws) -> None:
    purifier, classifier = new_purifier(), Counting(new_classifier())
    purifier.encoder = Counting(purifier.encoder)
    defend(classifier, purifier, draws)(new_images(batch, 16, 16))
    assert purifier.encoder.images == [batch]
    assert sum(classifier.images) == batch * draws
    assert max(classifier.images) <= max(64, batch)  # memory does not grow with the draws


@pytest.mark.parametrize("size", [(2, 16, 16), (1, 13, 9)], ids=str)
def test_any_module_can_be_defended(purifier, new_images, size) -> None:
    _, height, width = size
    mine = nn.Sequential(nn.Flatten(), nn.Linear(3 * height * width, 5))
    assert defend(mine, purifier, 2)(new_images(*size)).shape == (size[0], 5)


def test_parts_and_parameters_are_those_given(new_classifier, new_purifier) -> None:
    classifier, purifier = new_classifier(), new_purifier()
    model = defend(classifier, purifier)
    assert model.classifier is classifier
    assert model.purifier is purifier
    assert model.draws == DRAWS == 20


def test_more_draws_scatter_less(defended, new_images) -> None:
    x = new_images(1, 16, 16)

    def scatter(draws: int) -> Tensor:
        runs = [defended(x, generator(i, "draw"), draws=draws) for i in range(30)]
        return torch.stack(runs).var(0).mean()

    assert scatter(16) < scatter(1) / 6  # a sixteenth, but for the thirty runs' own scatter


def test_sigma_zero_is_the_classifier_on_the_decoded_mean(defended, new_images) -> None:
    x = new_images(2, 16, 16)
    purified = defended.purifier(x, generator(5, "any"), sigma=0)
    logits = defended(x, generator(0, "draw"), sigma=0)
    assert torch.allclose(logits, defended.classifier(purified), atol=1e-5)


@pytest.mark.parametrize("stop", [False, True])
def test_the_gradient_flows_or_is_cut(defended, new_images, stop: bool) -> None:
    x = new_images(2, 16, 16).requires_grad_()
    logits = defended(x, generator(0, "draw"), stop_gradient=stop)
    (gradient,) = torch.autograd.grad(logits.square().sum(), x, allow_unused=True)
    assert (gradient is None) if stop else (gradient != 0).any()


def test_shards_predict_what_one_process_does(defended, new_images) -> None:
    x = new_images(4, 16, 16)
    parts = [defended(x[2 * r : 2 * r + 2], Shard(generator(0, "n"), r, 2)) for r in range(2)]
    assert torch.allclose(torch.cat(parts), defended(x, generator(0, "n")), atol=1e-5)


@given(draws=st.integers(max_value=0) | st.floats() | st.text() | st.booleans())
def test_bad_draws_are_refused(draws) -> None:
    with pytest.raises(ConfigError, match="draws is"):
        Defended(nn.Flatten(), nn.Module(), draws)


@pytest.mark.parametrize("draws", [0, -1, 1.5, True])
def test_bad_draws_of_a_call_are_refused(defended, new_images, draws) -> None:
    with pytest.raises(ConfigError, match="draws is"):
        defended(new_images(1, 8, 8), draws=draws)


def test_what_is_no_image_is_refused(defended) -> None:
    with pytest.raises(ConfigError, match="batch, 3, height, width"):
        defended(torch.zeros(3, 16, 16))
    with pytest.raises(ConfigError, match="non-empty"):
        defended(torch.zeros(0, 3, 16, 16))


def test_the_two_halves_are_the_whole(defended, new_images) -> None:
    """Attacks on the mean over draws share one encoder pass by calling the halves."""
    x = new_images(2, 16, 16)
    state = defended.encode(x)
    logits = defended.sample(state, generator(0, "draw"), 3)
    assert logits.shape == (3, 2, 4)
    assert torch.allclose(logits.mean(0), defended(x, generator(0, "draw")), atol=1e-5)

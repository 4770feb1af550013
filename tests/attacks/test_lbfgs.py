from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_linear_optima import linear, middle, rise, saturated
from torch import Tensor, nn

from alp.attacks import L2, THREATS, Linf
from alp.attacks.lbfgs import LBFGS
from alp.errors import AlpError, ConfigError
from alp.seeding import generator, initialising, normal

FAR = L2(100.0)
"""A ball that holds every image: what comes back is the smallest change itself."""


def shortest_in_the_box(w: Tensor, x: Tensor, needed: Tensor) -> Tensor:
    """The least length (B,) of a change d inside the box with <w, d> = ``needed``: d is clip(c w),
    with c by bisection in float64."""
    w, low, high = w.double(), -x.double(), 1 - x.double()
    small, large = torch.zeros(len(x)).double(), torch.full((len(x),), 1e3).double()

    def change(c: Tensor) -> Tensor:
        return (c.view(-1, 1, 1, 1) * w).clamp(low, high)

    for _ in range(100):
        c = (small + large) / 2
        enough = (change(c) * w).sum((1, 2, 3)) >= needed
        small, large = small.where(enough, c), c.where(enough, large)
    return change(large).flatten(1).norm(dim=1)


@pytest.mark.parametrize("make", [middle, saturated])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_finds_the_distance_of_a_linear_model(
    dtype: torch.dtype, make: Callable[[int], Tensor]
) -> None:
    _, weight = linear(2, 3)
    x = make(6).to(dtype)

    def target(images: Tensor) -> Tensor:
        return images.flatten(1) @ weight.to(images).T

    logits = target(x)
    y = logits.argmax(1)
    needed = (logits.gather(1, y[:, None]) - logits.gather(1, 1 - y[:, None])).squeeze(1)
    x_adv = LBFGS()(target, x, y, FAR, generator(0, "attack"))
    assert x_adv.dtype == dtype
    assert (target(x_adv).argmax(1) != y).all()
    expected = shortest_in_the_box(rise(weight, y), x, needed)
    found = FAR.distance(x_adv, x).double()
    assert (found >= expected * (1 - 1e-4)).all()
    assert torch.allclose(found, expected, rtol=0.01)


def test_of_several_classes_it_finds_one_that_is_near() -> None:
    target, weight = linear(5, 4)
    x = middle(10)
    logits = target(x)
    y = logits.argmax(1)
    behind = logits.amax(1, keepdim=True) - logits
    distances = behind / torch.cdist(weight, weight)[y]
    distances = distances.scatter(1, y[:, None], torch.inf)
    x_adv = LBFGS()(target, x, y, FAR, generator(0, "attack"))
    found = FAR.distance(x_adv, x)
    assert (target(x_adv).argmax(1) != y).all()
    assert (found >= distances.amin(1) * 0.999).all()
    assert (found <= distances.amin(1) * 1.02).sum() >= 8


@pytest.fixture
def net() -> nn.Module:
    with initialising(0, "net"):
        return nn.Sequential(nn.Flatten(), nn.Linear(48, 32), nn.SiLU(), nn.Linear(32, 4))


def test_more_searches_find_shorter_changes(net: nn.Module) -> None:
    x = saturated(8)
    y = net(x).argmax(1)
    lengths = []
    for searches in (2, 10):
        x_adv = LBFGS(searches=searches)(net, x, y, FAR, generator(0, "attack"))
        lengths.append(FAR.distance(x_adv, x))
        assert 0 <= x_adv.min() <= x_adv.max() <= 1
    assert (net(x_adv).argmax(1) != y).all()
    assert lengths[1].mean() < lengths[0].mean()


@pytest.mark.parametrize("name", THREATS)
def test_what_is_too_far_is_projected(name: str, net: nn.Module) -> None:
    x = saturated(8).to(memory_format=torch.channels_last)
    y = net(x).argmax(1)
    threat = THREATS[name](0.01)
    x_adv = LBFGS(searches=4)(net, x, y, threat, generator(0, "attack"))
    assert x_adv.is_contiguous(memory_format=torch.channels_last)
    distance = threat.distance(x_adv, x)
    assert distance.max() <= 0.01 + 1e-6
    assert (distance > 0.0099).all()
    loss = nn.functional.cross_entropy
    assert (loss(net(x_adv), y, reduction="none") > loss(net(x), y, reduction="none")).all()


def test_an_image_that_is_wrong_stays(net: nn.Module) -> None:
    x = saturated(8)
    y = (net(x).argmax(1) + torch.tensor([0, 1] * 4)) % 4
    x_adv = LBFGS(searches=4)(net, x, y, FAR, generator(0, "attack"))
    assert torch.equal(x_adv[1::2], x[1::2])
    assert (FAR.distance(x_adv, x)[::2] > 0).all()


def test_it_draws_nothing_and_soft_labels_count_by_their_largest(net: nn.Module) -> None:
    x = saturated(4)
    y = net(x).argmax(1)
    soft = 0.6 * nn.functional.one_hot(y, 4) + 0.1
    results = [
        LBFGS(searches=3)(net, x, labels, FAR, generator(seed, "attack"))
        for seed, labels in enumerate((y, y, soft))
    ]
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    assert not results[0].requires_grad


def test_a_masked_target_leaves_the_image(net: nn.Module) -> None:
    x = saturated(4)
    y = net(x).argmax(1)
    x_adv = LBFGS()(lambda images: net(images.detach()), x, y, Linf(0.1), generator(0, "attack"))
    assert torch.equal(x_adv, x)


def test_a_bank_of_draws_counts_by_its_mean() -> None:
    _, weight = linear(2, 5)
    weights = weight + 0.2 * normal((6, *weight.shape), generator(5, "draws"))
    x = middle(6)

    def bank(images: Tensor) -> Tensor:
        return torch.einsum("bd,nkd->nbk", images.flatten(1), weights)

    mean = bank(x).mean(0)
    y = mean.argmax(1)
    needed = (mean.gather(1, y[:, None]) - mean.gather(1, 1 - y[:, None])).squeeze(1)
    x_adv = LBFGS()(bank, x, y, FAR, generator(0, "attack"))
    assert (bank(x_adv).mean(0).argmax(1) != y).all()
    expected = needed / rise(weights.mean(0), y).flatten(1).norm(dim=1)
    assert torch.allclose(FAR.distance(x_adv, x), expected, rtol=0.03)


def test_it_calls_the_target_hardly_more_often_than_it_says(net: nn.Module) -> None:
    calls = [0, 0]

    def counted(images: Tensor) -> Tensor:
        assert len(images) == 1
        calls[not images.requires_grad] += 1
        return net(images)

    x = saturated(1)
    attack = LBFGS(steps=5, searches=6)
    attack(counted, x, net(x).argmax(1), FAR, generator(0, "attack"))
    gradients, scores = attack.calls
    assert calls[1] == scores
    assert gradients / 4 < calls[0] <= gradients + 20 * attack.searches


def test_without_scipy_the_repair_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(images: Tensor) -> Tensor:
        raise AssertionError("the target was called")

    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(AlpError, match=r'pip install -e "\.\[attacks\]"'):
        LBFGS()(never, saturated(2), torch.tensor([0, 1]), FAR, generator(0, "attack"))


def test_settings_import_no_scipy() -> None:
    code = (
        "import sys; from alp.attacks.lbfgs import LBFGS; LBFGS(); sys.exit('scipy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(count=st.integers(max_value=0) | st.sampled_from([None, 1.5, "7", True]))
def test_bad_counts_are_refused(count: object) -> None:
    with pytest.raises(ConfigError, match="steps is"):
        LBFGS(steps=count)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="searches is"):
        LBFGS(searches=count)  # type: ignore[arg-type]

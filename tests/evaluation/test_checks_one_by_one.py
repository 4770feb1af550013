"""Every check on targets that are simple enough to know what it has to find."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from gallery_toys import (
    CLASSES,
    COUNT,
    MASKED,
    PIXELS,
    SMOOTH,
    SUITE,
    WEIGHT,
    Toy,
    X,
    Y,
    columns,
    concluded,
    finding,
    linear,
    scene,
    some_right,
)
from torch import Tensor

from alp.attacks import L2, Linf
from alp.defences.adapters import FixedCallable
from alp.evaluation.checks import CHECKS
from alp.seeding import generator


def test_null_finds_a_target_that_remembers_its_images():
    def remembers(x: Tensor) -> Tensor:
        known = (x == X).flatten(1).all(1)
        return torch.eye(CLASSES)[torch.where(known, Y, (Y + 1) % CLASSES)] + 0 * linear(x)

    found = finding("null", FixedCallable(remembers), evaluations=1)
    assert not found.passed
    assert found.value == 1
    assert "the robust accuracy is 0.0 %, the clean one 100.0 %" in found.words


def test_null_is_no_difference_for_a_target_that_is_right_by_chance():
    found = finding("null", Toy(lambda x, noise: linear(x + noise)))
    assert found.value == 0


def test_null_has_two_sides():
    for clean, robust in ((0.2, 0.3), (0.3, 0.2)):
        found = concluded("null", clean=some_right(clean), robust=some_right(robust))
        assert not found.passed
        assert found.value == pytest.approx(0.1)


def test_one_step_is_the_best_attack_on_a_linear_target_of_two_classes():
    weight = WEIGHT[:, :2]
    margin = ((X - 0.5).flatten(1) @ (weight[:, 0] - weight[:, 1])).abs()
    labels = ((X - 0.5).flatten(1) @ weight).argmax(1)
    survives = margin > 0.02 * (weight[:, 0] - weight[:, 1]).abs().sum()
    defence = FixedCallable(lambda x: (x - 0.5).flatten(1) @ weight)
    measured = CHECKS["steps"]().measure(scene(defence, evaluations=1), X, labels)
    assert 0 < survives.sum() < COUNT
    for each in measured.values():
        assert torch.equal(each.bool(), survives)


@pytest.mark.parametrize(
    ("fgsm", "short", "long", "said"),
    [
        (0.3, 0.2, 0.25, "PGD-20 leaves 5.0 points more right than PGD-10"),
        (0.2, 0.3, 0.3, "PGD-10 leaves 10.0 points more right than FGSM"),
    ],
)
def test_steps_that_lose_ground(fgsm, short, long, said):
    found = concluded(
        "steps", fgsm=some_right(fgsm), short=some_right(short), long=some_right(long)
    )
    assert not found.passed
    assert found.words == f"gradient masking suspected: {said}"


def test_radii_reach_to_where_every_image_can_be_grey():
    seen = []
    check = CHECKS["radius"]()

    @dataclass(frozen=True)
    class Watched(Linf):
        def random_start(self, x, source, scale=1.0):
            seen.append(self.eps)
            return super().random_start(x, source, scale)

    check.measure(scene(FixedCallable(linear), threat=Watched(0.1)), X, Y)
    assert seen == pytest.approx([0.05, 0.1, 0.2, 128 / 255])
    # A radius beyond the last one says nothing more.
    wide = check.measure(scene(FixedCallable(linear), threat=Linf(0.4)), X, Y)
    assert list(wide) == ["half", "one", "everything"]
    euclidean = check.measure(scene(FixedCallable(linear), threat=L2(0.2)), X, Y)
    assert euclidean["everything"].sum() == 0
    assert euclidean["half"].sum() > 0


def test_radius_notices_luck_on_a_draw_in_twenty():
    def lucky(x: Tensor, noise: Tensor) -> Tensor:
        luck = noise.flatten(1)[:, :1] > 1.645
        return torch.where(luck, 100 * torch.eye(CLASSES)[Y], linear(x))

    found = finding("radius", Toy(lucky))
    assert not found.passed
    assert found.value == pytest.approx(0.05, abs=0.02)
    assert found.words.startswith("gradient masking or luck suspected: ")


def test_radius_falls_with_eps():
    own = {"half": some_right(0.2), "one": some_right(0.3), "everything": some_right(0)}
    found = concluded("radius", **own)
    assert not found.passed
    assert "1 eps leaves 10.0 points more right than 0.5 eps" in found.words


def black_box(score, gradient):
    record = columns(clean=(2 * some_right(1.0), 2 * some_right(1.0)))
    for entry in SUITE.entries:
        right = 2 * some_right(score if entry.level == "score" else gradient)
        record |= columns(**{entry.name: (right, right)})
    return CHECKS["black-box"]().conclude({}, record, SUITE)


def test_a_black_box_that_beats_the_white_box():
    found = black_box(score=0.429, gradient=0.5)
    assert not found.passed
    assert found.words == ("gradient masking suspected: black box beats white box by 7.1 points")


def test_a_black_box_that_adds_next_to_nothing():
    assert black_box(score=0.6, gradient=0.5).value == 0
    assert black_box(score=0.495, gradient=0.5).passed


def test_averaging_that_hurts():
    found = concluded("draws", one=some_right(0.2), many=some_right(0.4))
    assert not found.passed
    assert "EOT-4 leaves 20.0 points more right than EOT-1" in found.words


def test_two_averages_that_point_apart():
    def chance(x: Tensor, noise: Tensor) -> Tensor:
        wild = torch.stack([(x * noise).flatten(1).sum(1), 0 * Y, 0 * Y], 1)
        return linear(x).detach() + 10 * wild

    found = finding("direction", Toy(chance))
    assert not found.passed
    assert abs(found.value) < 0.1
    assert found.words.startswith("randomness suspected: ")


def test_a_gradient_without_noise_points_its_way_and_none_points_nowhere():
    assert finding("direction", Toy(lambda x, noise: linear(x))).value == pytest.approx(1, abs=1e-5)
    # In float32 the squares of these gradients would be zero.
    tiny = Toy(lambda x, noise: 1e-25 * linear(x))
    assert finding("direction", tiny).value == pytest.approx(1, abs=1e-5)
    assert finding("direction", MASKED).value == 0


def test_bpda_that_does_better():
    found = finding("bpda", MASKED, threat=Linf(0.05))
    assert not found.passed
    assert "the exact gradient leaves" in found.words
    assert "more right than BPDA" in found.words


def test_zero_gradients():
    assert finding("zero-gradient", MASKED).value == 1
    confident = FixedCallable(lambda x: 1e6 * linear(x))
    found = finding("zero-gradient", confident)
    assert found.value > 0.9
    assert found.words.startswith("gradient masking suspected: the gradient is zero everywhere")


def test_entries_that_are_zero_are_told_without_blame():
    upper = FixedCallable(lambda x: linear(torch.cat([x[:, :, :2], x[:, :, 2:].detach()], 2)))
    found = finding("zero-gradient", upper)
    assert found.passed
    assert "50.0 % of all its entries are" in found.words


@pytest.mark.parametrize(
    ("answer", "agree"),
    [
        (lambda x: linear((x - 0.3) ** 2 + x**3), True),
        (lambda x: linear((7 * x).round() / 7 + 0 * x), None),  # flat: its zero is right
        (lambda x: linear(x.detach() + 0 * x), False),
        (lambda x: linear(2 * x - x.detach()), False),  # right way, twice as steep
    ],
)
def test_gradients_and_differences_in_float64(answer, agree):
    found = finding("finite-difference", FixedCallable(answer))
    assert "(float64)" in found.words
    if agree is None:
        assert found.value > 0.9
    else:
        assert found.value == agree
        assert found.passed is agree


@pytest.mark.parametrize("inside", [True, False])
def test_a_target_that_knows_float32_only_is_asked_in_float32(inside):
    def answer(x: Tensor) -> Tensor:
        images = x.float() if inside else x
        return images.sub(0.5).flatten(1) @ WEIGHT

    found = finding("finite-difference", FixedCallable(answer))
    assert "(float32)" in found.words
    assert found.value >= 0.95  # the third class is as good as the second of an image


def test_the_copy_in_float64_leaves_the_model_as_it_is():
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(PIXELS, CLASSES)).eval()
    defence = FixedCallable(model)
    found = finding("finite-difference", defence)
    assert found.value == 1
    assert "(float64)" in found.words
    assert defence.call is model
    assert model(X).dtype == torch.float32
    twin = defence.in_float64().logits(X.double(), generator(0, "toy"), 1)
    assert twin.dtype == torch.float64


def test_planted_points_are_found_by_a_gradient_only():
    assert finding("planted", SMOOTH).value == 1
    assert finding("planted", SMOOTH, threat=L2(0.3)).value == 1
    found = finding("planted", MASKED)
    assert found.value == 0
    assert found.words.startswith("gradient masking suspected: gradient ascent gets as far")


def test_planted_does_not_depend_on_the_loss_of_an_attack():
    assert finding("planted", FixedCallable(lambda x: 1e6 * linear(x))).value == 1


@pytest.mark.parametrize(("right", "passed"), [(0, True), (1, False)])
def test_a_threat_beyond_every_radius_has_a_finding(right, passed):
    whole = L2(128)
    measured = CHECKS["radius"]().measure(scene(FixedCallable(linear), threat=whole), X, Y)
    assert list(measured) == ["everything"]
    found = concluded("radius", everything=some_right(right))
    assert found.passed == passed
    assert found.value == right

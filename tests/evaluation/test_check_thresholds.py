"""Both sides of every threshold of the checks, and that the numbers behind them are all taken.

The bounds are written out here, not taken from the package: whoever moves one has to move it twice.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from gallery_toys import COUNT, PROBES, SUITE, Toy, columns, concluded, finding, linear
from gallery_toys import numbers as measured
from torch import Tensor

from alp.defences.adapters import FixedCallable
from alp.evaluation.checks import CHECKS
from alp.evaluation.suites import Entry, Probes, Suite

IMAGES = 40
"""Of 40 images of which some change sides, 3 are within two standard errors and 4 are not."""


def of_forty(count: int) -> np.ndarray:
    return (np.arange(IMAGES) < count).astype(float)


def two_errors(count: int, images: int) -> float:
    """Two standard errors of a share of ``count`` among ``images``."""
    share = count / images
    return 2 * math.sqrt(share * (1 - share) / (images - 1))


NONE, ALL = of_forty(0), of_forty(IMAGES)

PAIRS = {
    "steps, long after short": ("steps", "long", {"short": NONE, "fgsm": ALL}),
    "steps, short after fgsm": ("steps", "short", {"fgsm": NONE, "long": NONE}),
    "draws": ("draws", "many", {"one": NONE}),
    "bpda": ("bpda", "exact", {"identity": NONE}),
    "radius, one after half": ("radius", "one", {"half": NONE, "everything": NONE}),
    "radius, double after one": (
        "radius",
        "double",
        {"half": ALL, "one": NONE, "everything": NONE},
    ),
    "null, robust above clean": ("null", "robust", {"clean": NONE}),
    "null, clean above robust": ("null", "clean", {"robust": NONE}),
}
"""A check, the column that must not be above another, and its other columns."""


@pytest.mark.parametrize(("name", "column", "others"), PAIRS.values(), ids=PAIRS)
def test_two_standard_errors_are_allowed_and_no_more(name, column, others) -> None:
    for count, passes in ((0, True), (3, True), (4, False), (40, False)):
        found = concluded(name, **{column: of_forty(count)}, **others)
        assert found.passed is passes, count
        assert found.value == pytest.approx(count / IMAGES)
        assert found.bound == pytest.approx(two_errors(count, IMAGES))


def test_the_order_of_the_radii_ends_where_everything_is_allowed() -> None:
    """The last radius may leave 2 %, and no more than the one before it."""
    own = {"half": ALL, "one": ALL, "double": NONE}
    for count, passes in ((0, True), (2, True), (3, True), (4, False)):
        found = concluded("radius", **own, everything=of_forty(count))
        assert found.passed is passes
    assert "2 eps" in found.words


SHARES = {
    "planted": ("planted", {"found": 0.95}, -1, {}),
    "finite-difference": ("finite-difference", {"agrees": 0.9}, -1, {"float64": 1.0}),
    "surrogate": ("surrogate", {"uphill": 0.9}, -1, {}),
    "direction": ("direction", {"clean": 0.2, "start": 0.2}, -1, {}),
    "radius": ("radius", {"everything": 0.02}, 1, {"half": 1.0, "one": 1.0, "double": 1.0}),
}
"""A check, its columns at the bound, the way that breaks it, and its other columns."""


@pytest.mark.parametrize(("name", "at", "way", "others"), SHARES.values(), ids=SHARES)
def test_a_share_may_reach_its_bound_and_not_go_beyond(name, at, way, others) -> None:
    """Of one image there is no spread: the bound stands alone."""
    held = {key: [value] for key, value in others.items()}
    for passes in (True, False):
        moved = {k: [v if passes else math.nextafter(v, way * 9)] for k, v in at.items()}
        found = concluded(name, **held, **moved)
        assert found.passed is passes


@pytest.mark.parametrize(
    ("name", "column", "least", "bound"),
    [("planted", "found", 935, 0.95), ("finite-difference", "agrees", 880, 0.9)],
)
def test_a_share_of_many_images_may_miss_its_bound_by_two_errors(name, column, least, bound):
    for count, passes in ((least, True), (least - 1, False)):
        own = {column: (np.arange(1000) < count).astype(float)}
        found = concluded(name, **own, float64=np.ones(1000))
        assert found.passed is passes
        assert found.bound == pytest.approx(bound - two_errors(count, 1000))


def test_directions_are_averaged_over_the_image_and_the_start() -> None:
    for clean, start, passes in ((0.4, 0.0, True), (0.0, 0.4, True), (0.38, 0.0, False)):
        found = concluded("direction", clean=[clean], start=[start])
        assert found.passed is passes
        assert found.value == pytest.approx((clean + start) / 2)


@pytest.mark.parametrize("column", ["clean", "start"])
def test_one_gradient_in_a_hundred_may_be_zero(column) -> None:
    other = {"clean": "start", "start": "clean"}[column]
    for count, passes in ((10, True), (18, True), (19, False)):
        zero = (np.arange(1000) < count).astype(float)
        found = concluded("zero-gradient", **{column: zero, other: np.zeros(1000)})
        assert found.passed is passes
        assert found.value == count / 1000
        assert found.bound == pytest.approx(0.01 + two_errors(count, 1000))
    partly = concluded("zero-gradient", **{column: np.full(9, 0.999), other: np.zeros(9)})
    assert partly.passed
    assert partly.value == 0


def black_box(clean: int, white: int, black: int, evaluations: int):
    """The finding where every image has these many of ``evaluations`` predictions right."""
    record = columns(clean=([clean], [clean]))
    suite = Suite("toy", SUITE.opening, SUITE.closing, evaluations, PROBES)
    for entry in suite.entries:
        right = [black if entry.level == "score" else white]
        record |= columns(**{entry.name: (right, right)})
    return CHECKS["black-box"]().conclude({}, record, suite)


def test_black_boxes_may_break_half_a_point_besides() -> None:
    found = black_box(clean=400, white=2, black=0, evaluations=400)
    assert (found.passed, found.value, found.bound) == (True, 0.005, 0.005)
    found = black_box(clean=400, white=3, black=0, evaluations=400)
    assert (found.passed, found.value, found.bound) == (False, 0.0075, 0.005)


def test_black_boxes_are_compared_with_two_standard_errors() -> None:
    entries = SUITE.entries
    for count, passes in ((3, True), (4, True), (5, False)):
        alive, broken = 2 * ALL, 2 * (1 - of_forty(count))
        record = columns(clean=(alive, alive))
        for entry in entries:
            right = broken if entry.level == "score" else alive
            record |= columns(**{entry.name: (right, right)})
        found = CHECKS["black-box"]().conclude({}, record, SUITE)
        assert found.passed is passes
        assert found.value == pytest.approx(count / IMAGES)
        assert found.bound == pytest.approx(0.005 + two_errors(count, IMAGES))


def test_every_level_without_a_gradient_is_a_black_box() -> None:
    probes = Probes(images=1, steps=(1, 2), draws=1)
    attack = SUITE.closing[0].attack
    levels = {"oblivious": True, "transfer": True, "score": True, "masked": False}
    levels |= {"single": False, "bpda": False, "fixed": False, "eot": False}
    for level, black in levels.items():
        for other in ("eot", "score"):
            mixed = black == (other == "eot")
            names = (Entry(level, attack), Entry(other, attack, 2))
            suite = Suite("two", names, (), 1, probes)
            assert CHECKS["black-box"]().applies(suite, FixedCallable(linear)) is mixed


# The slope of what the target computes


@pytest.mark.parametrize(
    ("steepness", "agrees"), [(0.88, 0), (0.89, 1), (1.12, 1), (1.14, 0), (1, 1), (-1, 0), (0, 0)]
)
def test_a_gradient_may_be_a_tenth_too_steep(steepness, agrees) -> None:
    """A tenth of the larger of the two slopes, and a tenth of the gradient's usual share in a
    direction: of 48 values, one part in the square root of 48."""

    def answer(x: Tensor) -> Tensor:
        return linear(steepness * x + (1 - steepness) * x.detach())

    assert finding("finite-difference", FixedCallable(answer)).value == agrees


# What is measured


@pytest.mark.parametrize("name", sorted(set(CHECKS) - {"black-box"}))
def test_the_cost_counts_the_draws_without_a_gradient(name) -> None:
    asked = []

    def counted(x: Tensor, noise: Tensor) -> Tensor:
        asked.append(not x.requires_grad)
        return linear(x + 0.05 * noise)

    measured(name, Toy(counted, draws=PROBES.draws))
    _, plain = CHECKS[name]().cost(SUITE)
    assert sum(asked) == plain


def test_a_check_looks_at_every_image() -> None:
    for name in set(CHECKS) - {"black-box"}:
        found = measured(name, Toy(lambda x, noise: linear(x + 0.05 * noise), draws=2))
        assert found
        assert all(len(each) == COUNT for each in found.values())

"""What the parts of an evaluation say they cost, and what the clean images are asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gallery_toys import COUNT, PROBES, X, Y
from test_counted_calls import Counted

from alp import seeding
from alp.attacks import APGD, L2, PGD, Linf, Square
from alp.errors import ConfigError
from alp.evaluation.adaptive import CheckTask, CleanTask, EntryTask
from alp.evaluation.checks import CHECKS
from alp.evaluation.suites import Entry, Suite
from alp.evaluation.tasks import Context

EVALUATIONS = 3
OPENING, CLOSING = Entry("eot", APGD(20), 6), Entry("score", Square(8), 4)
SUITE = Suite("toy", (OPENING,), (CLOSING,), EVALUATIONS, PROBES)


@pytest.fixture
def context() -> Context:
    return Context(Counted(), {}, Linf(0.05), 0)


def test_the_clean_images_are_judged_on_two_sets_of_draws(context) -> None:
    task = CleanTask(context, SUITE)
    columns = task.run(X, Y, 0, ())
    assert context.defence.judged == 2 * EVALUATIONS * [COUNT]
    assert task.cost == (0, 2 * EVALUATIONS * context.defence.draws)
    assert np.isinf(columns["psnr"]).all(), "nothing is purified"


@pytest.mark.parametrize(("height", "width", "known"), [(11, 11, True), (10, 11, False)])
def test_structure_needs_a_whole_window(context, height: int, width: int, known: bool) -> None:
    context.defence.forward = lambda x, source=None, draws=None: torch.zeros(len(x), 5)
    images = seeding.uniform((2, 3, height, width), seeding.generator(0, "images"))
    columns = CleanTask(context, SUITE).run(images, Y[:2], 0, ())
    assert np.isnan(columns["ssim"]).any() != known
    assert not known or np.allclose(columns["ssim"], 1)


def test_an_entry_counts_its_calls_and_one_and_a_half_judgements_an_image(context) -> None:
    """Seven of ten images are guessed to be right, and half of them once one attack has gone."""
    judged = 1.5 * EVALUATIONS * context.defence.draws
    opening, closing = (
        EntryTask(context, SUITE, OPENING),
        EntryTask(context, SUITE, CLOSING, after=2),
    )
    assert opening.after == 1
    assert opening.cost == pytest.approx((0.7 * 21 * 6, 0.7 * (8 * 6 + judged)))
    assert closing.cost == pytest.approx((0, 0.5 * (16 * 4 + judged)))


def test_an_image_that_is_wrong_already_moves_nowhere(context) -> None:
    task = EntryTask(context, SUITE, OPENING)
    select = np.array([0, *[EVALUATIONS] * (COUNT - 1)])
    columns = task.run(X, Y, 0, [{"clean_select": select}])
    distance = columns[f"{task.name}_distance"]
    assert distance[0] == 0
    assert distance[1:].min() > 0.04
    assert columns[f"{task.name}_select"][0] == columns[f"{task.name}_fresh"][0] == -1
    assert (columns[f"{task.name}_select"][1:] >= 0).all()


def test_a_check_looks_at_the_images_of_its_probes(context) -> None:
    task = CheckTask(context, SUITE, CHECKS["radius"]())
    assert task.images == PROBES.images
    assert task.cost == CHECKS["radius"]().cost(SUITE)
    columns = task.run(X, Y, 0, ())
    assert set(columns) == {f"radius_{key}" for key in ("half", "one", "double", "everything")}
    beyond = {name: np.append(values, np.nan) for name, values in columns.items()}
    assert task.conclude(beyond) == task.conclude(columns)


@pytest.mark.parametrize(
    ("threat", "far", "inside"),
    [
        (Linf(0.1), 0.1 * (1 + 0.95e-4), True),
        (Linf(0.1), 0.1 * (1 + 1.15e-4), False),
        (L2(0.1), 0.1 * (1 + 1.15e-4), False),
        (Linf(0.0), 0.9e-6, True),
        (Linf(0.0), 1.1e-6, False),
    ],
)
def test_an_attack_may_leave_its_ball_by_rounding_only(context, threat, far, inside) -> None:
    class Moves(PGD):
        def __call__(self, target, x, y, threat, source):
            moved = x.double().clone()
            moved[:, 0, 0, 0] += far
            return moved

    task = EntryTask(Context(context.defence, {}, threat, 0), SUITE, Entry("eot", Moves(1)))
    clean = [{"clean_select": np.full(COUNT, EVALUATIONS)}]
    if inside:
        assert task.run(X, Y, 0, clean)
    else:
        with pytest.raises(ConfigError, match="far, outside"):
            task.run(X, Y, 0, clean)

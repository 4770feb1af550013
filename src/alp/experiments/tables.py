"""Table II of the paper: baseline, ALP standalone, AT, A-ALP + AT (records ``robustness``).

What the paper lacks: its hierarchy under adaptive attacks.

Records of the kind ``verdict`` (:func:`alp.evaluation.evaluate`, suite ``quick``), one a row of
Table II, trial 0: every level of knowledge that the row's model has, the worst case over all of
them, and the checks of the attacks.
"""

from __future__ import annotations

from collections.abc import Callable

from alp.data import Images
from alp.defences.base import Defence
from alp.experiments import EXPERIMENTS, trained
from alp.experiments.workspace import Workspace
from alp.records import Record


@EXPERIMENTS.register("hierarchy", order=1, summary="Table II: baseline, ALP alone, AT, A-ALP + AT")
def hierarchy(workspace: Workspace) -> list[Record]:
    """Train what is missing, evaluate what is missing, return the records of all rows and trials.

    Raises:
        AlpError: data, checkpoints or records are damaged or of other settings.
    """
    rows: list[tuple[str, str, Callable[[int], Defence]]] = [
        ("baseline", trained.BASELINE, lambda trial: trained.standard(workspace, trial).defence),
        ("standalone", trained.STANDALONE, lambda trial: trained.standalone(workspace, trial)),
        ("adversarial", trained.AT, lambda trial: trained.adversarial(workspace, trial).defence),
        ("defended", trained.DEFENDED, lambda trial: trained.defended(workspace, trial)),
    ]
    return [
        workspace.evaluate(f"{place}-{trial}", name, model(trial), trial=trial)
        for trial in range(workspace.protocol.trials)
        for place, name, model in rows
    ]


SUITE = "quick"
"""Minutes on two cores; numbers that are published take a thorough one by 'alp evaluate'."""

SHARE = 0.15
"""Of the protocol's images."""


@EXPERIMENTS.register("honest", order=11, summary="the hierarchy under adaptive attacks")
def honest(workspace: Workspace) -> list[Record]:
    """The verdict on each row."""
    images = workspace.share_of_images(SHARE)
    rows: list[tuple[str, str, Callable[[], Defence]]] = [
        ("baseline", trained.BASELINE, lambda: trained.standard(workspace).defence),
        ("standalone-0", trained.STANDALONE, lambda: trained.standalone(workspace, 0)),
        ("adversarial", trained.AT, lambda: trained.adversarial(workspace).defence),
        ("defended-0", trained.DEFENDED, lambda: trained.defended(workspace, 0)),
    ]
    return [
        _row(workspace, place, name, model(), images) for place, name, model in workspace.grid(rows)
    ]


def _row(workspace: Workspace, place: str, name: str, model: Defence, images: Images) -> Record:
    surrogates: dict[str, Defence] = {}
    if "masked" in model.capabilities:  # what fools AT alone may fool what is behind a purifier
        surrogates[trained.AT] = trained.adversarial(workspace).defence
    return workspace.judge(place, name, model, images, SUITE, surrogates)

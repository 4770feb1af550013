"""Table II of the paper: baseline, ALP standalone, AT, A-ALP + AT (records ``robustness``).

What the paper lacks: its hierarchy under adaptive attacks.

Records of the kind ``verdict`` (:func:`alp.evaluation.evaluate`, suite ``quick``), one a row of
Table II, trial 0: every level of knowledge that the row's model has, the worst case over all of
them, and the checks of the attacks.
"""

from __future__ import annotations

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
    return [
        workspace.evaluate(place, name, model(), trial=trial)
        for trial in range(workspace.protocol.trials)
        for place, name, model in trained.table_rows(workspace, trial)
    ]


SUITE = "quick"
"""Minutes on two cores; numbers that are published take a thorough one by 'alp evaluate'."""

SHARE = 0.15
"""Of the protocol's images."""


@EXPERIMENTS.register("honest", order=11, summary="the hierarchy under adaptive attacks")
def honest(workspace: Workspace) -> list[Record]:
    """The verdict on each row."""
    images = workspace.share_of_images(SHARE)
    rows = workspace.grid(trained.table_rows(workspace))
    return [_row(workspace, place, name, model(), images) for place, name, model in rows]


def _row(workspace: Workspace, place: str, name: str, model: Defence, images: Images) -> Record:
    surrogates: dict[str, Defence] = {}
    if "masked" in model.capabilities:  # what fools AT alone may fool what is behind a purifier
        surrogates[trained.AT] = trained.adversarial(workspace).defence
    return workspace.judge(place, name, model, images, SUITE, surrogates)

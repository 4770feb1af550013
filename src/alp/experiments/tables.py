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
from alp.experiments.lab import Lab
from alp.records import Record


@EXPERIMENTS.register("hierarchy", order=1, summary="Table II: baseline, ALP alone, AT, A-ALP + AT")
def hierarchy(lab: Lab) -> list[Record]:
    """Train what is missing, evaluate what is missing, return the records of all rows and trials.

    Raises:
        AlpError: data, checkpoints or records are damaged or of other settings.
    """
    records = [
        lab.evaluate("baseline", trained.BASELINE, trained.standard(lab).defence),
        lab.evaluate("adversarial", trained.AT, trained.adversarial(lab).defence),
    ]
    for trial in range(lab.protocol.trials):
        alone = trained.standalone(lab, trial)
        both = trained.defended(lab, trial)
        records += [
            lab.evaluate(f"standalone-{trial}", trained.STANDALONE, alone, trial=trial),
            lab.evaluate(f"defended-{trial}", trained.DEFENDED, both, trial=trial),
        ]
    return records


SUITE = "quick"
"""Minutes on two cores; numbers that are published take a thorough one by 'alp evaluate'."""

SHARE = 0.15
"""Of the protocol's images."""


@EXPERIMENTS.register("honest", order=11, summary="the hierarchy under adaptive attacks")
def honest(lab: Lab) -> list[Record]:
    """The verdict on each row."""
    images = lab.share_of_images(SHARE)
    rows: list[tuple[str, str, Callable[[], Defence]]] = [
        ("baseline", trained.BASELINE, lambda: trained.standard(lab).defence),
        ("standalone-0", trained.STANDALONE, lambda: trained.standalone(lab, 0)),
        ("adversarial", trained.AT, lambda: trained.adversarial(lab).defence),
        ("defended-0", trained.DEFENDED, lambda: trained.defended(lab, 0)),
    ]
    return [_row(lab, place, name, model(), images) for place, name, model in lab.grid(rows)]


def _row(lab: Lab, place: str, name: str, model: Defence, images: Images) -> Record:
    surrogates: dict[str, Defence] = {}
    if "masked" in model.capabilities:  # what fools AT alone may fool what is behind a purifier
        surrogates[trained.AT] = trained.adversarial(lab).defence
    return lab.judge(place, name, model, images, SUITE, surrogates)

"""What the paper lacks: its hierarchy under adaptive attacks.

Records of the kind ``verdict`` (:func:`alp.evaluation.evaluate`, suite ``quick``), one a row of
Table II, trial 0: every level of knowledge that the row's model has, the worst case over all of
them, and the checks of the attacks.
"""

from __future__ import annotations

from collections.abc import Callable

from alp.data import Images
from alp.evaluation.records import Record
from alp.models import Defended
from alp.models.checkpoint import Model
from alp.paper import trained
from alp.paper.lab import Lab

SUITE = "quick"
"""Minutes on two cores; numbers that are published take a thorough one by 'alp evaluate'."""

SHARE = 0.15
"""Of the protocol's images."""


def honest(lab: Lab) -> list[Record]:
    """The verdict on each row."""
    images = lab.share_of_images(SHARE)
    rows: list[tuple[str, str, Callable[[], Model]]] = [
        ("baseline", trained.BASELINE, lambda: trained.standard(lab).model),
        ("standalone-0", trained.STANDALONE, lambda: trained.standalone(lab, 0)),
        ("adversarial", trained.AT, lambda: trained.adversarial(lab).model),
        ("defended-0", trained.DEFENDED, lambda: trained.defended(lab, 0)),
    ]
    return [_row(lab, place, name, model(), images) for place, name, model in lab.grid(rows)]


def _row(lab: Lab, place: str, name: str, model: Model, images: Images) -> Record:
    surrogates: dict[str, Model] = {}
    if isinstance(model, Defended):  # what fools AT alone may fool what is behind a purifier
        surrogates[trained.AT] = trained.adversarial(lab).model
    return lab.judge(place, name, model, images, SUITE, surrogates)

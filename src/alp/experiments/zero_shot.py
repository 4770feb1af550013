"""The purifier as it is, before classifiers as they are.

``unmodified``: the purifier, trained on clean images, before a classifier that was trained without
it and is not fine-tuned, beside that classifier alone. Records of the kind ``points``
(:mod:`alp.records.points`) under the protocol's attack and radius at its levels; a classifier
alone has one, ``single``.
"""

from __future__ import annotations

from alp.evaluation.grid import Point
from alp.experiments import EXPERIMENTS, trained
from alp.experiments.workspace import Workspace
from alp.records import Record

UNMODIFIED_SHARE = 0.256
"""Of the protocol's images."""

LEVEL = "single"
"""What the attacker knows: the paper's protocol."""


@EXPERIMENTS.register(
    "unmodified", order=15, summary="the purifier before classifiers that nobody fine-tuned"
)
def unmodified(workspace: Workspace) -> list[Record]:
    """Each classifier alone and behind the purifier, on the same images."""
    protocol = workspace.protocol
    standard, adversarial = trained.standard(workspace), trained.adversarial(workspace)
    images, eps = workspace.share_of_images(UNMODIFIED_SHARE), protocol.threat.eps
    every = [Point(), *(Point(level, eps) for level in protocol.knowledge)]
    one = [Point(), Point(LEVEL, eps)]
    behind, behind_at = (
        trained.before(workspace, each, protocol.draws) for each in (standard, adversarial)
    )
    rows = [
        ("baseline", trained.BASELINE, standard.defence, one),
        ("before-baseline", trained.ZERO_SHOT, behind, every),
        ("adversarial", trained.AT, adversarial.defence, one),
        ("before-adversarial", trained.ZERO_SHOT_AT, behind_at, every),
    ]
    return [
        workspace.points(place, name, model, protocol.attack, points, images)
        for place, name, model, points in rows
    ]

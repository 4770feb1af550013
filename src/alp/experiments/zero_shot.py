"""The purifier as it is, before classifiers as they are, and what the consensus is worth.

``unmodified``: the purifier, trained on clean images, before a classifier that was trained without
it and is not fine-tuned, beside that classifier alone. Records of the kind ``points``
(:mod:`alp.records.points`) under the protocol's attack and radius at its levels; a classifier
alone has one, ``single``.

``consensus``: the purifier before the adversarially trained classifier by the draws of the deployed
prediction. Records of the same kind, one a number of draws, clean and under attacks by the gradient
of one draw.
"""

from __future__ import annotations

from alp.evaluation.grid import Point
from alp.experiments import EXPERIMENTS, trained
from alp.experiments.workspace import Workspace
from alp.records import Record

UNMODIFIED_SHARE = 0.256
"""Of the protocol's images."""

DRAWS = (1, 5, 10, 20, 50)
"""Draws of the consensus; the paper deploys 20."""

CONSENSUS_SHARE = 0.1
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


@EXPERIMENTS.register("consensus", order=16, summary="accuracy by the draws of the prediction")
def consensus(workspace: Workspace) -> list[Record]:
    """A number of draws each, on the same images."""
    images, protocol = workspace.share_of_images(CONSENSUS_SHARE), workspace.protocol
    points = [Point(), Point(LEVEL, protocol.threat.eps)]
    model = trained.before(workspace, trained.adversarial(workspace), 1)
    return [
        workspace.points(
            f"draws-{draws}",
            trained.ZERO_SHOT_AT,
            model.with_draws(draws),
            protocol.attack,
            points,
            images,
        )
        for draws in workspace.grid(DRAWS)
    ]

"""Whether robustness depends on the kind of classifier: four architectures of about equal
multiply-adds, trained as long by the same optimiser, as usual and adversarially.

Records of the kind ``points`` (:mod:`alp.records.points`), one an architecture and training, clean
and attacked at radii up to twice the protocol's. ``extra`` of the header has ``architecture``,
``adversarial`` and ``parameters``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from alp.config import ClassifierConfig, OptimConfig
from alp.evaluation.grid import Point
from alp.experiments import EXPERIMENTS
from alp.experiments.workspace import Workspace
from alp.records import Record
from alp.training.recipes import stage_of
from alp.training.stages import AdversaryConfig, ClassifierStage

Kind = Literal["residual", "plain", "depthwise", "attention"]

KINDS: tuple[Kind, ...] = ("residual", "plain", "depthwise", "attention")

RADII = (1, 2, 4, 8, 16)
"""Of the attacks, in 255ths."""

EPOCHS = 2.0
"""Of every training."""

SHARE = 0.25
"""Of the protocol's images."""


@EXPERIMENTS.register("architectures", order=32, summary="four kinds of classifiers at equal cost")
def architectures(workspace: Workspace) -> list[Record]:
    """A record an architecture and training."""
    return [
        _measured(workspace, kind, adversarial)
        for kind in workspace.grid(KINDS)
        for adversarial in (False, True)
    ]


def _measured(workspace: Workspace, kind: Kind, adversarial: bool) -> Record:
    place = f"{kind}-{'adversarial' if adversarial else 'standard'}"
    made = workspace.train(place, "adversarial", stage=stage(workspace, kind, adversarial))
    points = [Point(), *(Point("single", eps / 255) for eps in workspace.grid(RADII))]
    return workspace.points(
        place,
        f"{kind}, {'adversarial' if adversarial else 'standard'}",
        made.defence,
        workspace.protocol.attack,
        points,
        workspace.share_of_images(SHARE),
        extra={
            "architecture": kind,
            "adversarial": adversarial,
            "parameters": sum(each.numel() for each in made.model.parameters()),
        },
    )


def stage(workspace: Workspace, kind: Kind, adversarial: bool) -> ClassifierStage:
    """A small classifier of a kind, trained on clean images or by one noisy step. AdamW suits all
    four; a transformer learns little by SGD at the usual rate."""
    usual = stage_of("adversarial", workspace.protocol.scale, ClassifierStage)
    optim = OptimConfig(
        epochs=min(EPOCHS, usual.optim.epochs),
        batch_size=usual.optim.batch_size,
        optimizer="adamw",
        lr=2e-3,
        weight_decay=0.01,
        clip=1.0,
        ema=usual.optim.ema,
    )
    return replace(
        usual,
        classifier=ClassifierConfig("tiny", architecture=kind),
        adversary=usual.adversary if adversarial else AdversaryConfig(),
        optim=optim,
    )

"""A latent that holds less than a picture, under adaptive attacks.

The usual latent, 64 x 8 x 8 for 32 x 32 pictures, holds 4,096 values for 3,072 pixel values. This
one, 64 x 4 x 4, holds 1,024. A-ALP + AT with that latent is of shorter trainings than the paper's
own (:class:`alp.experiments.trained.Variant`). Records of the kind ``verdict``
(:func:`alp.evaluation.evaluate`, suite ``quick``) of it and of AT alone on the same images, and one
of the kind ``points`` as for other variants (:mod:`alp.experiments.variants`).
"""

from __future__ import annotations

from alp.experiments import EXPERIMENTS, trained
from alp.experiments.tables import SUITE
from alp.experiments.trained import Variant
from alp.experiments.variants import measured
from alp.experiments.workspace import Workspace
from alp.records import Record

COMPACT = Variant(stride=8)
"""The usual purifier but for twice as many pixels per latent cell along each axis."""

NAME = "A-ALP + AT, 64x4x4"

SHARE = 0.256
"""Of the protocol's images."""

PRECISION = "bfloat16"
"""What the attackers compute in: half the time, and what is judged is never rounded."""


@EXPERIMENTS.register("compact", order=18, summary="a latent of 1,024 values, adaptive attacks")
def compact(workspace: Workspace) -> list[Record]:
    """The verdicts on the compact latent and on adversarial training alone."""
    images, alone = workspace.share_of_images(SHARE), trained.adversarial(workspace).defence
    model = trained.variant(workspace, COMPACT)
    return [
        measured(workspace, COMPACT),
        workspace.judge(
            "adversarial", trained.AT, alone, images, SUITE, {}, attack_precision=PRECISION
        ),
        workspace.judge(
            "compact", NAME, model, images, SUITE, {trained.AT: alone}, attack_precision=PRECISION
        ),
    ]

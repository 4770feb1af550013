"""Training of MagNet: a denoising autoencoder, then thresholds from images that it has not seen."""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from alp import seeding
from alp.data import Images
from alp.defences import ResNetLite
from alp.defences.magnet import MagNet
from alp.defences.packaged import load_kind
from alp.training.base import TASKS, Source, Start, Task
from alp.training.losses import distortion
from alp.training.stages import MagNetStage

BATCH = 500
"""Images whose scores are computed at a time."""


class MagNetTask(Task):
    """Mean squared error of the reconstruction of noisy images (Meng and Chen 2017, section 4.2).
    The classifier stays as it is."""

    def __init__(self, stage: MagNetStage, model: MagNet, validation: Images) -> None:
        super().__init__()
        model.classifier.requires_grad_(False)
        self.stage = stage
        self.validation = validation
        self.model: MagNet = model

    def forward(self, x: Tensor, attacked: Tensor, y: Tensor, source: Source) -> dict[str, Tensor]:
        noisy = x + self.stage.noise * seeding.normal(x.shape, source).to(x.device)
        image = self.model.reformer(noisy.clamp(0, 1)).float()
        return {"loss": distortion(x, image).mean()}

    def finish(self, model: nn.Module) -> None:
        choose_thresholds(cast(MagNet, model), self.validation, self.stage.drop_rate)


@TASKS.register("MagNetStage")
def magnet_task(stage: MagNetStage, start: Start) -> MagNetTask:
    """A new autoencoder and its detectors before the given classifier."""
    (head,) = start.frozen(partial(load_kind, kind=ResNetLite))
    assert start.validation is not None
    with seeding.initialising(start.seed, "magnet"):
        model = MagNet(head, stage.channels, stage.detect)
    return MagNetTask(stage, model, start.validation)


@torch.no_grad()
def choose_thresholds(model: MagNet, images: Images, drop_rate: float) -> None:
    """Give each detector the threshold above which this share of clean ``images`` lies, which the
    model was not trained on (Meng and Chen 2017, section 5.1)."""
    scores = torch.cat(
        [
            model.scores(images.batch(torch.arange(first, min(first + BATCH, len(images))))[0])
            for first in range(0, len(images), BATCH)
        ]
    )
    model.thresholds.copy_(scores.quantile(1 - drop_rate, 0))

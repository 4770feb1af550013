"""Training of HGD: a denoiser, by the logits of a classifier that stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from alp import seeding
from alp.defences import ResNetLite
from alp.defences.base import Defence, classify
from alp.defences.hgd import HGD
from alp.defences.packaged import load_kind
from alp.training.base import TASKS, Source, Start, Task
from alp.training.stages import HGDStage
from alp.training.tasks import iterated

Iterated = Callable[[nn.Module, Tensor, Tensor, float, int, Source], Tensor]
"""(model, x, labels, eps, steps, source) -> x attacked by FGSM in so many steps."""


class HGDTask(Task):
    """Mean absolute difference of the classifier's logits on the clean image and on the attacked
    one without its predicted perturbation (Liao et al. 2018, equation 8, guided by the logits).

    Each step attacks one of the source models, by FGSM in a random number of steps and with a
    random radius: the denoiser meets transferred perturbations, and nobody attacks itself.
    """

    def __init__(
        self, stage: HGDStage, model: HGD, sources: Sequence[Defence], iterated: Iterated
    ) -> None:
        super().__init__()
        model.classifier.requires_grad_(False)
        self.model: HGD = model
        self.sources = nn.ModuleList(sources).requires_grad_(False)
        self.iterated = iterated
        self.stage = stage

    def train(self, mode: bool = True) -> Self:
        """Classifiers keep their batch statistics, and the denoiser has none."""
        self.training = mode
        return self

    def attack(self, x: Tensor, y: Tensor, source: Source) -> Tensor:
        radius, effort, place = seeding.uniform((1, 3), source)[0].tolist()
        model = self.sources[int(place * len(self.sources))]
        steps = 1 + int(effort * self.stage.steps)
        # An attack has a radius above zero.
        eps = max(radius, 1e-3) * self.stage.eps
        return self.iterated(model, x, y, eps, steps, source)

    def forward(self, x: Tensor, attacked: Tensor, y: Tensor, source: Source) -> dict[str, Tensor]:
        with torch.no_grad():
            wanted = classify(self.model.classifier, x).float()
        found = classify(self.model.classifier, self.model.denoised(attacked)).float()
        return {
            "loss": (found - wanted).abs().mean(),
            "accuracy": (found.argmax(1) == y).float().mean(),
        }


@TASKS.register("HGDStage")
def hgd_task(stage: HGDStage, start: Start) -> HGDTask:
    """A new denoiser before the given classifier, which is the first of the source models."""
    read = partial(load_kind, kind=ResNetLite)
    sources = start.frozen(read, "source")
    with seeding.initialising(start.seed, "hgd"):
        # A copy of its own: the denoiser's classifier is no source model.
        head = read(start.classifier) if isinstance(start.classifier, Path) else sources[0]
        model = HGD(head, stage.width)
    return HGDTask(stage, model, sources, iterated)

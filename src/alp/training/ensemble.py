"""Ensemble adversarial training: a classifier, on clean images and on images that are attacked
through others (Tramer et al. 2018, "Ensemble adversarial training", section 4.3).

An attack on the classifier itself, of one step, can be evaded by a loss that is curved around the
images; one on other models cannot. It defends against transfer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alp import seeding
from alp.defences.base import Defence
from alp.defences.packaged import load_behind
from alp.defences.trainable import Trainable
from alp.errors import ConfigError
from alp.training.base import TASKS, Source, Start, Task
from alp.training.hgd import Iterated
from alp.training.stages import EnsembleStage
from alp.training.tasks import iterated


class EnsembleTask(Task):
    """Cross-entropy of a batch's clean and attacked images, half each. A step's attack is FGSM on
    one of the source models or on the classifier itself, each as likely."""

    def __init__(
        self,
        stage: EnsembleStage,
        model: Trainable,
        sources: Sequence[Defence],
        iterated: Iterated,
    ) -> None:
        super().__init__()
        self.stage = stage
        self.model: Trainable = model
        self.sources = nn.ModuleList(sources).requires_grad_(False)
        self.iterated = iterated

    def train(self, mode: bool = True) -> Self:
        """The source models keep their batch statistics."""
        super().train(mode)
        self.sources.eval()
        return self

    def attack(self, x: Tensor, y: Tensor, source: Source) -> Tensor:
        models = [*self.sources, self.model]
        drawn = seeding.uniform((1, 1), source)[0, 0].item()
        return self.iterated(models[int(drawn * len(models))], x, y, self.stage.eps, 1, source)

    def forward(self, x: Tensor, attacked: Tensor, y: Tensor, source: Source) -> dict[str, Tensor]:
        # One pass for both: batch norm sees the mixture that it will be deployed on.
        logits = self.model.answer(torch.cat([x, attacked])).float()
        right = (logits.argmax(1) == y.repeat(2)).float()
        return {
            "loss": F.cross_entropy(logits, y.repeat(2)),
            "accuracy": right[: len(x)].mean(),
            "attacked": right[len(x) :].mean(),
        }


@TASKS.register("EnsembleStage")
def ensemble_task(stage: EnsembleStage, start: Start) -> EnsembleTask:
    """The given classifier, or a new one, beside the further ones.

    Raises:
        ConfigError: there is no further one, or one has no gradient.
    """
    if not start.others:
        raise ConfigError(
            "an EnsembleStage needs further classifiers, whose attacked images it is trained on; "
            "give them in others (--others FILE FILE)"
        )
    model = start.classifier_of(stage.classifier)
    sources = start.frozen_others(load_behind, "source")
    for each, given in zip(sources, start.others, strict=True):
        if not each.differentiable:
            raise ConfigError(
                f"{given} has no gradient, by which its images are attacked; give a classifier "
                "that has one"
            )
    return EnsembleTask(stage, model, sources, iterated)

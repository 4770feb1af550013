"""Defensive distillation: a classifier, by the soft labels of another one of the same kind, both at
a high temperature (Papernot et al. 2016, "Distillation as a defense", section IV).

Without a teacher the labels are those of the images: so the teacher itself is trained. In use the
temperature is 1, at which the softmax of a model that was trained well saturates: attacks that
follow the gradient of the cross-entropy find none in float32, those on the logits do (Carlini and
Wagner 2017).

A teacher may be any model, defended or not: at a temperature of 1 its pupil is what an attacker
steals who has nothing but its answers (Papernot et al. 2017, "Practical black-box attacks").
"""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from alp import seeding
from alp.defences.architectures import classifier_by
from alp.defences.base import Defence
from alp.defences.packaged import load_classifier
from alp.defences.trainable import Trainable
from alp.training.base import TASKS, Source, Start, Task
from alp.training.stages import DistilledStage


class DistilledTask(Task):
    """Cross-entropy at the stage's temperature, by labels or by the teacher's probabilities at the
    same temperature (equation 6)."""

    def __init__(self, stage: DistilledStage, model: Trainable, teacher: Defence | None) -> None:
        super().__init__()
        self.stage = stage
        self.model: Trainable = model
        self.teacher = None if teacher is None else teacher.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """The teacher keeps its batch statistics."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def forward(self, x: Tensor, attacked: Tensor, y: Tensor, source: Source) -> dict[str, Tensor]:
        logits = self.model.answer(x).float()
        wanted = y
        if self.teacher is not None:
            with torch.no_grad():
                answer = self.teacher.predict(x, source, self.teacher.draws).float()
            wanted = (answer / self.stage.temperature).softmax(1)
        return {
            "loss": F.cross_entropy(logits / self.stage.temperature, wanted),
            "accuracy": (logits.argmax(1) == y).float().mean(),
        }


@TASKS.register("DistilledStage")
def distilled_task(stage: DistilledStage, start: Start) -> DistilledTask:
    """A new classifier, and the given one as its teacher."""
    classes = len(start.images.classes)
    with seeding.initialising(start.seed, "classifier"):
        model = classifier_by(replace(stage.classifier, classes=classes))
    teacher = start.frozen(load_classifier)[0] if start.classifier is not None else None
    return DistilledTask(stage, model, teacher)

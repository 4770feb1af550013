"""Training for certificates: Gaussian noise on the pixels, and predictions that agree over it.

Cross-entropy under noise (Cohen et al. 2019, section 3.3) with consistency regularisation (Jeong
and Shin 2020, equation 9): each noisy copy of an image is drawn towards the mean of the copies'
predictions, and that mean towards certainty. With an adversary the noise is added to attacked
images; its gradient is that of one noisy copy (SmoothAdv, Salman et al. 2019, section 2.2).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from alp import seeding
from alp.defences.base import Deterministic
from alp.training.base import TASKS, Source, Start, Task
from alp.training.stages import CertifiedStage
from alp.training.tasks import perturbation


class CertifiedTask(Task):
    """Cross-entropy of noisy copies, and their consistency; see the module."""

    def __init__(self, stage: CertifiedStage, model: Deterministic) -> None:
        super().__init__()
        self.stage = stage
        self.model: Deterministic = model
        self.perturb = perturbation(stage.adversary)

    def attack(self, x: Tensor, y: Tensor, source: Source) -> Tensor:
        if self.perturb is None:
            return x
        sigma = self.stage.sigma
        return self.perturb(lambda at: self.model.answer(noisy(at, sigma, source)), x, y, source)

    def forward(self, x: Tensor, attacked: Tensor, y: Tensor, source: Source) -> dict[str, Tensor]:
        return under_noise(self.stage, self.model, attacked, y, source)


@TASKS.register("CertifiedStage")
def certified_task(stage: CertifiedStage, start: Start) -> CertifiedTask:
    """The given classifier, or a new one."""
    return CertifiedTask(stage, start.classifier_of(stage.classifier))


def under_noise(
    stage: CertifiedStage, model: Deterministic, x: Tensor, y: Tensor, source: Source
) -> dict[str, Tensor]:
    """The loss of a classifier of ``x`` (B,3,H,W) under the stage's noise, and what it is made
    of."""
    copies = [noisy(x, stage.sigma, source) for _ in range(stage.copies)]
    # one pass for all copies: batch norm sees them together, as Jeong and Shin's code does
    logits = model.answer(torch.cat(copies)).float().view(stage.copies, len(x), -1)
    labels = y.expand(stage.copies, -1).reshape(-1)
    loss = F.cross_entropy(logits.flatten(0, 1), labels)
    disagreement, entropy = consistency(logits)
    return {
        "loss": loss + stage.consistency * disagreement + stage.entropy * entropy,
        "accuracy": (logits.argmax(2) == y).float().mean(),
        "disagreement": disagreement,
        "entropy": entropy,
    }


def noisy(x: Tensor, sigma: float, source: Source) -> Tensor:
    """``x`` under new Gaussian noise."""
    return x + sigma * seeding.normal(x.shape, source).to(x.device)


def consistency(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (copies, B, K) -> the mean KL(mean prediction || a copy's prediction), and the
    entropy of the mean prediction, both in nats and averaged over the batch."""
    each = logits.log_softmax(2)
    mean = each.exp().mean(0)
    log_mean = each.logsumexp(0) - torch.tensor(float(len(logits))).log().to(each.device)
    divergence = (mean * (log_mean - each)).sum(2).mean()
    entropy = -(mean * log_mean).sum(1).mean()
    return divergence, entropy

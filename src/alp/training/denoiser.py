"""Training of a purifier as a denoiser of Gaussian noise, before classifiers that stay as they are.

Denoised smoothing (Salman et al. 2020, "Denoised smoothing: a provable defense for pretrained
classifiers", section 3.2, the stability objective): the classifier shall say of the denoised image
what it says of the clean one, so that no label is needed. Purifier and classifier are the base of
a certificate then (``alp certify``). The latent has no noise: votes need an answer that is not
random.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from alp import seeding
from alp.defences import Purifier
from alp.defences.base import Defence
from alp.defences.purifier import with_noise
from alp.training.base import TASKS, Source, Start
from alp.training.guard import FrontTask, frozen_heads
from alp.training.losses import distortion
from alp.training.stages import DenoiserStage


class DenoiserTask(FrontTask):
    """Cross-entropy of denoised images, with the classifiers' decisions on clean ones as labels,
    and reconstruction of the clean image."""

    def __init__(
        self, stage: DenoiserStage, model: Purifier, classifiers: Sequence[Defence]
    ) -> None:
        super().__init__(model, classifiers)
        self.stage = stage

    def forward(self, x: Tensor, attacked: Tensor, y: Tensor, source: Source) -> dict[str, Tensor]:
        noisy = x + self.stage.sigma * seeding.normal(x.shape, source).to(x.device)
        with torch.no_grad():
            wanted = self.logits(x).argmax(1)
        image = self.purified(noisy, source)
        out = self.logits(image)
        mse = distortion(x, image.float()).mean()
        return {
            "loss": F.cross_entropy(out, wanted) + self.stage.reconstruction * mse,
            "accuracy": (out.argmax(1) == y).float().mean(),
            "mse": mse,
        }


@TASKS.register("DenoiserStage")
def denoiser_task(stage: DenoiserStage, start: Start) -> DenoiserTask:
    """The given purifier, or a new one, before the given classifiers.

    Raises:
        ConfigError: as :func:`frozen_heads`.
    """
    heads = frozen_heads(start, "denoiser", stage.optim.batch_size)
    return DenoiserTask(stage, with_noise(start.purifier_of(stage.purifier), 0.0), heads)

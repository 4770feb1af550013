"""Adversarial training of a purifier alone, through classifiers that stay as they are.

The attacker sees purifier and classifier as one network, and only the purifier learns (AToP, Lin
et al. 2024, "Adversarial training on purification", equation 7, with the loss of the classifier
in place of a discriminator's). The radius of the attack grows in the first part of the training:
at full radius from the start the purifier loses the picture before it has learned to keep it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alp.defences import Purifier
from alp.defences.base import Defence, classify
from alp.defences.packaged import load_behind
from alp.defences.purifier import with_noise
from alp.defences.trainable import leads_through
from alp.errors import ConfigError
from alp.training.base import TASKS, Perturb, Source, Start, Task
from alp.training.losses import distortion
from alp.training.stages import GuardStage
from alp.training.tasks import divergence, growing


class ReturningClamp(torch.autograd.Function):
    """``x.clamp(0, 1)``, whose gradient passes where it is exact or descending leads back to [0,1].

    With the exact gradient, zero beyond the range, a saturated pixel would never return; with the
    identity's, nothing would keep pixels from running away.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        lost = ((x > 1) & (gradient < 0)) | ((x < 0) & (gradient > 0))
        return gradient.masked_fill(lost, 0)


class FrontTask(Task):
    """A purifier that learns before classifiers that stay as they are."""

    def __init__(self, model: Purifier, classifiers: Sequence[Defence]) -> None:
        super().__init__()
        self.model: Purifier = model
        self.classifiers = nn.ModuleList(classifiers).requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """The mode is the purifier's: a frozen classifier keeps its batch statistics too."""
        self.training = mode
        self.model.train(mode)
        return self

    def purified(self, x: Tensor, source: Source) -> Tensor:
        """One draw, (B,3,H,W), not clamped."""
        z = self.model.noise(self.model.encode(x), source)
        return self.model.decode(z, (x.shape[-2], x.shape[-1]))

    def logits(self, image: Tensor) -> Tensor:
        """Logits (B,K) of purified images. With several classifiers each sees its share of the
        images, so that further ones cost no time."""
        inside = ReturningClamp.apply(image)  # type: ignore[no-untyped-call]
        count = len(self.classifiers)
        if count == 1:
            return classify(self.classifiers[0], inside).float()
        parts = [classify(each, inside[i::count]) for i, each in enumerate(self.classifiers)]
        rows = torch.cat([torch.arange(i, len(image), count) for i in range(count)])
        return torch.cat(parts)[rows.argsort().to(image.device)].float()


class GuardTask(FrontTask):
    """Cross-entropy of attacked images, agreement with the clean ones, and reconstruction."""

    step: Tensor

    def __init__(
        self,
        stage: GuardStage,
        model: Purifier,
        classifiers: Sequence[Defence],
        perturb: Callable[[float], Perturb],
        steps: int,
    ) -> None:
        """``perturb`` makes the attack at a share of the radius; ``steps`` are those of the whole
        training."""
        super().__init__(model, classifiers)
        self.stage = stage
        self.perturb = perturb
        self.rise = stage.curriculum * steps
        self.register_buffer("step", torch.zeros((), dtype=torch.long))

    @property
    def share(self) -> float:
        """Of the radius, that of the next step."""
        done = int(self.step) + 1
        return min(1.0, done / self.rise) if self.rise else 1.0

    def attack(self, x: Tensor, y: Tensor, source: Source) -> Tensor:
        perturb = self.perturb(self.share)
        return perturb(lambda point: self.logits(self.purified(point, source)), x, y, source)

    def forward(self, x: Tensor, attacked: Tensor, y: Tensor, source: Source) -> dict[str, Tensor]:
        stage = self.stage
        out = self.logits(self.purified(attacked, source))
        loss = F.cross_entropy(out, y)
        scalars = {"accuracy": (out.argmax(1) == y).float().mean()}
        if stage.agreement or stage.reconstruction:
            image = self.purified(x, source)
            if stage.agreement:
                loss = loss + stage.agreement * divergence(self.logits(image), out)
            mse = distortion(x, image.float()).mean()
            loss = loss + stage.reconstruction * mse
            scalars["mse"] = mse
        radius = torch.tensor(self.share * stage.adversary.eps, device=x.device)
        return {"loss": loss, **scalars, "eps": radius}

    def observe(self, scalars: Mapping[str, float]) -> None:
        self.step += 1


@TASKS.register("GuardStage")
def guard_task(stage: GuardStage, start: Start) -> GuardTask:
    """The given purifier, or a new one, before the given classifiers.

    Raises:
        ConfigError: as :func:`frozen_heads`.
    """
    heads = frozen_heads(start, "guard", stage.optim.batch_size)
    front = with_noise(start.purifier_of(stage.purifier), stage.sigma)
    steps = stage.optim.steps(len(start.images))
    return GuardTask(stage, front, heads, growing(stage.adversary), steps)


def frozen_heads(start: Start, what: str, batch_size: int) -> list[Defence]:
    """The classifiers that a ``what`` is trained before, which share the images of each step.

    Raises:
        ConfigError: a classifier has no gradient, or is random; or there are more classifiers than
            images in a batch.
    """
    heads = start.frozen(load_behind)
    x, _ = start.images.batch(torch.arange(1))
    for head, given in zip(heads, (start.classifier, *start.others), strict=True):
        if not head.differentiable or not leads_through(head, x):
            raise ConfigError(
                f"{given} has no gradient, through which a {what} is trained; give the classifier "
                "as weights, timm:NAME or FILE.pt2"
            )
    if len(heads) > batch_size:
        raise ConfigError(
            f"{len(heads)} classifiers share the images of a batch, and optim.batch_size is "
            f"{batch_size}; give {len(heads)} or more"
        )
    return heads

"""Losses that an attacker raises: logits (B,K) and labels to one value per example (B,).

Labels are class indices (B,) or soft labels (B,K).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alp.attacks.base import Loss
from alp.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy in nats, (B,).

    With the softmax of clean logits as soft labels this is, up to a constant, the KL divergence
    that TRADES' inner maximisation raises (Zhang et al. 2019, equation 5).
    """
    from torch.nn.functional import cross_entropy as reference

    return reference(logits, y, reduction="none")


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """Largest other logit minus the label's logit, (B,); positive where the class is wrong.

    Carlini and Wagner 2017 (their f6, without its floor). It does not saturate where a confident
    model's cross-entropy does. Of soft labels the largest counts.
    """
    return _margin(logits, y, logits.shape[1])


def _margin(logits: Tensor, y: Tensor, classes: int) -> Tensor:
    """Largest other logit among the first ``classes`` minus the label's."""
    index = (y.argmax(1) if y.ndim == 2 else y).unsqueeze(1)
    others = logits.scatter(1, index, float("-inf"))[:, :classes]
    return others.amax(1) - logits.gather(1, index).squeeze(1)


def dlr(logits: Tensor, y: Tensor) -> Tensor:
    """Difference of logits ratio, (B,): the margin over the gap between the largest and the third
    largest logit. Croce and Hein 2020, equation 6.

    Neither a shift nor a scale of the logits changes it, so that a model cannot hide its gradient
    by being confident. Of soft labels the largest counts.

    Raises:
        ConfigError: there are fewer than 3 classes.
    """
    import torch

    if logits.shape[1] < 3:
        raise ConfigError(
            f"the loss dlr compares 3 classes and the target has {logits.shape[1]}; "
            "choose the loss margin or ce"
        )
    largest = logits.topk(3, 1).values
    gap = largest[:, 0] - largest[:, 2]
    return margin(logits, y) / gap.clamp_min(torch.finfo(logits.dtype).eps)


CONFIDENCE = 1.0
"""Margin from which an attacker cares for the alarm alone."""

ALARM = 10.0
"""Weight of the alarm beside the margin."""


def evasion(logits: Tensor, y: Tensor) -> Tensor:
    """The margin, up to ``CONFIDENCE``, minus ``ALARM`` times the last column, (B,): the loss of an
    attacker who has to be misclassified and not be detected. The last of the K columns is no class
    but an alarm, above zero where a detector rejects the image or nearly does.

    Carlini and Wagner 2017b ("MagNet and 'Efficient Defenses Against Adversarial Attacks' are not
    robust to adversarial examples", section 4), with a hinge for the detectors.
    """
    reached = _margin(logits, y, logits.shape[1] - 1).clamp(max=CONFIDENCE)
    return reached - ALARM * logits[:, -1].clamp_min(0)


LOSSES: dict[str, Loss] = {"ce": cross_entropy, "margin": margin, "dlr": dlr, "evasion": evasion}
"""Name to loss; an attack's ``loss`` setting chooses one."""

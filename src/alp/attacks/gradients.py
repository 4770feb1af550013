"""The gradient of an attacker's loss with respect to the images.

What an attacker of a randomised target averages: losses, probabilities or logits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from alp.attacks.base import Loss, Target
from alp.errors import ConfigError, choose

if TYPE_CHECKING:
    from torch import Tensor


def input_gradient(target: Target, x: Tensor, y: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
    """One forward and one backward pass of ``target`` at ``x``.

    Of a target that answers with several draws the loss is averaged over them, which makes the
    gradient an estimate of the expectation over transformations (Athalye et al. 2018, section 3.2).
    Works whatever gradient mode the caller is in, and never touches a parameter's ``.grad``.
    Where the target cuts the gradient the answer is zero: that is what a masked attacker sees.
    An entry that is not a number has no direction, and is zero too.

    Returns:
        The gradient of the summed loss, shaped like ``x``, and the loss per example (B,),
        both detached.

    Raises:
        ConfigError: the logits are not finite, neither (B,K) nor (n,B,K) with K of at least 2, or
            ``y`` does not fit their K.
    """
    import torch

    with torch.inference_mode(False), torch.enable_grad():
        # A tensor made under inference_mode cannot enter a graph; its copy can.
        point = (x.clone() if x.is_inference() else x.detach()).requires_grad_()
        labels = y.clone() if y.is_inference() else y.detach()
        logits = ask(target, point)
        check_logits(logits, labels)
        value = _mean_loss(logits, labels, loss)
        gradient = None
        if value.requires_grad:
            (gradient,) = torch.autograd.grad(value.sum(), point, allow_unused=True)
    if gradient is None:
        return torch.zeros_like(x), value.detach()
    return gradient.nan_to_num(nan=0.0), value.detach()


def score(target: Target, x: Tensor, y: Tensor, loss: Loss) -> Tensor:
    """The loss per example (B,) by one forward pass without a graph; raises as above."""
    import torch

    with torch.no_grad():
        logits = ask(target, x)
        check_logits(logits, y)
        return _mean_loss(logits, y, loss)


def ask(target: Target, x: Tensor) -> Tensor:
    """The target's answer to ``x``. The target gets a copy, so that one that works in place
    changes nobody's images. A module in training mode answers as it is, but keeps its buffers:
    attacking it does not move the statistics of its batch norms."""
    from torch import nn
    from torch.func import functional_call

    if isinstance(target, nn.Module) and any(each.training for each in target.modules()):
        buffers = {name: buffer.clone() for name, buffer in target.named_buffers()}
        answer: Tensor = functional_call(target, buffers, (x.clone(),))
        return answer
    return target(x.clone())


def _mean_loss(logits: Tensor, y: Tensor, loss: Loss) -> Tensor:
    """The loss per example (B,) of logits (B,K), or its mean over draws of logits (n,B,K)."""
    if logits.ndim == 2:
        return loss(logits, y)
    draws = len(logits)
    repeated = y.repeat(draws, *[1] * (y.ndim - 1))
    return loss(logits.flatten(0, 1), repeated).view(draws, -1).mean(0)


def check_logits(logits: Tensor, y: Tensor) -> None:
    """Raise a ConfigError unless ``logits`` are finite, (B,K) or (n,B,K), and ``y`` fits them."""
    from torch import Tensor

    if not isinstance(logits, Tensor):
        raise ConfigError(
            f"the target gave a {type(logits).__name__}; it has to give a tensor of logits (B,K)"
        )
    shape = tuple(logits.shape)
    if logits.ndim not in (2, 3) or not len(logits) or shape[-2] != len(y) or shape[-1] < 2:
        raise ConfigError(
            f"the target gave shape {shape} for {len(y)} images; it has to give logits (B,K), or "
            "(n,B,K) of n draws, of at least 2 classes"
        )
    classes = shape[-1]
    if y.ndim == 2 and y.shape[1] != classes:
        raise ConfigError(
            f"y holds soft labels for {y.shape[1]} classes, the target has {classes}; "
            "make the labels from the same target's classes"
        )
    if y.ndim == 1 and y.amax() >= classes:
        raise ConfigError(
            f"y holds the class {y.max().item()}, the target has {classes} classes; "
            f"give indices from 0 to {classes - 1}"
        )
    if not logits.isfinite().all():
        bad = int((~logits.isfinite()).any(-1).view(-1, len(y)).any(0).sum())
        raise ConfigError(
            f"the target gave logits that are not finite for {bad} of {len(y)} images; "
            "check its weights and precision before attacking it"
        )


def _loss(logits: Tensor) -> Tensor:
    """The mean of the loss over draws: nothing is reduced before it."""
    return logits


def _probability(logits: Tensor) -> Tensor:
    """The log of the mean probability, whose cross-entropy is -log of the label's mean
    probability (n,B,K) -> (B,K)."""
    return logits.log_softmax(-1).logsumexp(0) - math.log(len(logits))


def _logits(logits: Tensor) -> Tensor:
    """The mean logits, by which the deployed prediction decides: (n,B,K) -> (B,K)."""
    return logits.mean(0)


OBJECTIVES: dict[str, Callable[[Tensor], Tensor]] = {
    "loss": _loss,
    "probability": _probability,
    "logits": _logits,
}
"""Name to what is made of the logits of several draws before the attacker's loss."""


def expected(target: Target, objective: str) -> Target:
    """``target``, with its draws (n,B,K) averaged as ``objective`` says; logits (B,K) are left
    as they are.

    By Jensen's inequality ``probability`` is never above ``loss`` under the cross-entropy: it
    leaves draws that are wrong already alone, and works on those that are still right.

    Raises:
        UnknownNameError: no such objective.
    """
    reduce = choose(OBJECTIVES, objective, "objective")

    def averaged(x: Tensor) -> Tensor:
        logits = target(x)
        return reduce(logits) if logits.ndim == 3 else logits

    return averaged

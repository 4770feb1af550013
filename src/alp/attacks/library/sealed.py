"""A target as libraries may see it: nothing they do reaches what lies behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from alp.attacks.base import Target
from alp.attacks.expectation import expected

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def sealed(target: Target, dtype: torch.dtype) -> Target:
    """``target`` with float32 images in, which it gets as ``dtype``, and float32 logits (B,K) out,
    the mean over draws where it answers (n,B,K).

    foolbox and FAB call ``backward()``, which would add to the ``.grad`` of every parameter behind
    the target. Here the backward pass ends at the images; it is zero where the target cuts the
    gradient or an entry is not a number. The logits are a copy: Square writes into them.
    """
    import torch

    averaged = expected(target, "logits")

    def answer(x: Tensor) -> Tensor:
        return averaged(x.to(dtype)).to(torch.float32, copy=True)

    class Sealed(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            with torch.enable_grad():
                ctx.point = x.detach().requires_grad_()
                ctx.logits = answer(ctx.point)
            return cast("Tensor", ctx.logits.detach())

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
            found = None
            if ctx.logits.requires_grad:
                (found,) = torch.autograd.grad(ctx.logits, ctx.point, gradient, allow_unused=True)
            return torch.zeros_like(ctx.point) if found is None else found.nan_to_num(nan=0.0)

    def model(x: Tensor) -> Tensor:
        if torch.is_grad_enabled() and x.requires_grad:
            return cast("Tensor", Sealed.apply(x))  # type: ignore[no-untyped-call]
        with torch.no_grad():
            return answer(x)

    return model

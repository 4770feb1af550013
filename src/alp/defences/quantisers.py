"""Uniform quantisers, simulated in float: a value becomes the nearest level of a grid of 2^bits.

Weights have a symmetric grid, one step for each output channel; activations an asymmetric one for
a whole tensor (Nagel et al. 2021, "A white paper on neural network quantization", section 2).
"""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST = 1e-12
"""Smallest step: that of values which are all zero."""

SHRUNK = tuple(0.3 + 0.02 * number for number in range(36))
"""Shares of the whole range that are tried for the step of least squared error."""


def fake_quantised(x: Tensor, step: Tensor, zero: Tensor, bits: int) -> Tensor:
    """The nearest of the levels step * (k - zero), k = 0 to 2^bits - 1, in the type of ``x``.

    The gradient is straight-through: 1 inside the range of the grid, 0 outside (Bengio et al.
    2013).

    Args:
        x: values of any shape.
        step: distance of two levels, broadcast to ``x``.
        zero: the level of the value 0, a whole number, broadcast to ``x``.
        bits: of a level's number.
    """
    inside = x.clamp(-step * zero, step * (2**bits - 1 - zero))
    levels = (inside / step).round() * step
    if not levels.requires_grad:
        return levels
    # The difference is exactly 0, so that the values stay on the grid.
    return levels.detach() + (inside - inside.detach())


def activation_grid(values: Tensor, bits: int, *, search: bool) -> tuple[Tensor, Tensor]:
    """``step`` and ``zero`` of a grid for ``values`` (parts,N), one for each part, (parts,).

    Args:
        values: some of the activations, with the smallest and the largest of them.
        bits: of a level's number.
        search: take the share of the range with the least squared error, not the whole range.
    """
    low, high = values.amin(1).clamp(max=0), values.amax(1).clamp(min=0)
    step, zero = _asymmetric(low, high, bits)
    if not search:
        return step, zero
    error = _error(values, step, zero, bits)
    for share in SHRUNK[:-1]:
        other = _asymmetric(share * low, share * high, bits)
        found = _error(values, *other, bits)
        better = found < error
        step, zero = torch.where(better, other[0], step), torch.where(better, other[1], zero)
        error = torch.minimum(found, error)
    return step, zero


def weight_steps(weight: Tensor, bits: int, *, search: bool) -> Tensor:
    """Steps (outputs,parts) of symmetric grids for ``weight`` (outputs,parts,N), one for each
    output channel and part of the input channels.

    Args:
        weight: a kernel.
        bits: of a code, from -2^(bits-1) to 2^(bits-1) - 1.
        search: take the share of the range with the least squared error, not the whole range.
    """
    whole = (weight.abs().amax(2) / code_range(bits)[1]).clamp(min=SMALLEST)
    if not search:
        return whole
    step = whole
    error = _weight_error(weight, step, bits)
    for share in SHRUNK[:-1]:
        other = (share * whole).clamp(min=SMALLEST)
        found = _weight_error(weight, other, bits)
        step = torch.where(found < error, other, step)
        error = torch.minimum(found, error)
    return step


def codes_of(weight: Tensor, steps: Tensor, bits: int) -> Tensor:
    """The nearest codes of ``weight`` (outputs,parts,N), float, of the same shape."""
    low, high = code_range(bits)
    return (weight / steps[..., None]).round().clamp(low, high)


def code_range(bits: int) -> tuple[int, int]:
    """The smallest and the largest code of a weight."""
    half: int = 2 ** (bits - 1)
    return -half, half - 1


def in_parts(x: Tensor, parts: int) -> Tensor:
    """(B,C,...) as (B,parts,C/parts,...)."""
    return x.reshape(len(x), parts, x.shape[1] // parts, *x.shape[2:])


def _asymmetric(low: Tensor, high: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    step = ((high - low) / (2**bits - 1)).clamp(min=SMALLEST)
    return step, (-low / step).round()


def _error(values: Tensor, step: Tensor, zero: Tensor, bits: int) -> Tensor:
    grid = fake_quantised(values, step[:, None], zero[:, None], bits)
    return (grid - values).square().mean(1)


def _weight_error(weight: Tensor, steps: Tensor, bits: int) -> Tensor:
    return (codes_of(weight, steps, bits) * steps[..., None] - weight).square().sum(2)

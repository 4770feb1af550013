"""Learned rounding: each weight is rounded up or down, so that its block computes what the float
block computed (AdaRound: Nagel et al. 2020; block by block: Li et al. 2021, "BRECQ").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call

from alp.defences.classifier import PlainBlock
from alp.defences.diffusion import TimedBlock
from alp.defences.quantised import QuantisedLayer
from alp.defences.quantisers import code_range

LOW, HIGH = -0.1, 1.1
"""The rectified sigmoid reaches beyond [0,1], so that it gets to both (Nagel et al. 2020,
equation 23)."""

STRENGTH = 1.0
"""Weight of the regulariser, beside an error of 1 for nearest rounding."""

SHARPEST, BLUNTEST = 2.0, 20.0
"""Exponents of the regulariser at the end and at the start (Nagel et al. 2020, equation 24)."""

FREE = 0.2
"""Share of the steps without a regulariser."""

RATE = 0.02
"""Step size of Adam."""

ROWS = 16
"""Inputs of a step."""

TINY = 1e-12
"""Smallest error that a loss is divided by."""

Batch: TypeAlias = tuple[Tensor, ...]


def blocks_of(network: nn.Module) -> list[str]:
    """What is reconstructed together, in the order of its definition: residual blocks, and the
    layers outside of them."""
    found: list[str] = []
    for name, module in network.named_modules():
        inside = any(name.startswith(f"{each}.") for each in found)
        if isinstance(module, PlainBlock | TimedBlock | QuantisedLayer) and not inside:
            found.append(name)
    return found


@torch.enable_grad()
def reconstruct(
    before: nn.Module,
    after: nn.Module,
    name: str,
    batches: Sequence[Batch],
    source: torch.Generator,
    steps: int,
) -> tuple[float, float]:
    """Learn the rounding of the block ``name``; the blocks before it are quantised already. Where
    the learned rounding is no better on the given inputs, the nearest one stays.

    Args:
        before: the float network.
        after: the quantised network, changed in place.
        name: of a block in both.
        batches: inputs of the networks.
        source: chooses the inputs of a step.
        steps: of learning.

    Returns:
        Mean squared errors of the block's output with nearest and with the chosen rounding.
    """
    inputs, _ = _seen(after, name, batches)
    _, target = _seen(before, name, batches)
    block, original = after.get_submodule(name), before.get_submodule(name)
    layers = {f"{each}.".lstrip("."): layer for each, layer in _quantised(block)}
    floors, choices = {}, {}
    for each, layer in layers.items():
        weight = original.get_parameter(f"{each}weight").detach()
        scaled = (layer.apart(weight) / layer.steps[..., None]).view(weight.shape)
        floors[each] = scaled.floor()
        choices[each] = _chosen(scaled - floors[each]).requires_grad_()

    def codes(up: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Name of a buffer of the block to its codes."""
        return {
            f"{each}codes": (floors[each] + up[each]).clamp(*code_range(layer.weights))
            for each, layer in layers.items()
        }

    def error() -> float:
        with torch.no_grad():
            parts = zip(*(torch.split(each, ROWS) for each in inputs), strict=True)
            out = torch.cat([block(*part) for part in parts])
        return float((out - target).square().mean())

    nearest, start = {each: layer.codes.clone() for each, layer in layers.items()}, error()
    optimizer = torch.optim.Adam(list(choices.values()), RATE)
    for step in range(steps):
        rows = torch.randint(len(target), (ROWS,), generator=source).to(target.device)
        soft = {each: _rectified(choice) for each, choice in choices.items()}
        out = functional_call(block, codes(soft), tuple(each[rows] for each in inputs))
        loss = (out - target[rows]).square().mean() / max(start, TINY)
        if step >= FREE * steps:
            loss = loss + STRENGTH * _undecided(soft, step / steps)
        gradients = torch.autograd.grad(loss, list(choices.values()))
        for choice, gradient in zip(choices.values(), gradients, strict=True):
            choice.grad = gradient
        optimizer.step()
    up = {each: (choice.detach() >= 0).float() for each, choice in choices.items()}
    for each, chosen in codes(up).items():
        block.get_buffer(each).copy_(chosen)
    learned = error()
    if learned > start:
        for each, layer in layers.items():
            layer.codes.copy_(nearest[each])
    return start, min(start, learned)


def _quantised(block: nn.Module) -> Iterator[tuple[str, QuantisedLayer]]:
    for name, module in block.named_modules():
        if isinstance(module, QuantisedLayer):
            yield name, module


def _seen(network: nn.Module, name: str, batches: Sequence[Batch]) -> tuple[Batch, Tensor]:
    """The inputs of a block, and its outputs, while ``network`` computes the batches."""
    given: list[Batch] = []
    out: list[Tensor] = []

    def keep(module: nn.Module, inputs: Batch, output: Tensor) -> None:
        given.append(inputs)
        out.append(output)

    hook = network.get_submodule(name).register_forward_hook(keep)
    try:
        with torch.no_grad():
            for batch in batches:
                network(*batch)
    finally:
        hook.remove()
    return tuple(torch.cat(each) for each in zip(*given, strict=True)), torch.cat(out)


def _rectified(choice: Tensor) -> Tensor:
    """How far a weight is rounded up, in [0,1] (Nagel et al. 2020, equation 23)."""
    return (choice.sigmoid() * (HIGH - LOW) + LOW).clamp(0, 1)


def _chosen(share: Tensor) -> Tensor:
    """The inverse of ``_rectified``."""
    return ((share - LOW) / (HIGH - LOW)).logit()


def _undecided(soft: Mapping[str, Tensor], progress: float) -> Tensor:
    """1 where all weights are half way between two levels, 0 where each has one (Nagel et al.
    2020, equation 24, as a mean)."""
    done = (progress - FREE) / (1 - FREE)
    exponent = BLUNTEST + (SHARPEST - BLUNTEST) * done
    every = torch.cat([each.flatten() for each in soft.values()])
    return (1 - (2 * every - 1).abs().pow(exponent)).mean()

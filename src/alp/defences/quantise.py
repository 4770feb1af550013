"""Post-training quantisation of a defence by a purifier or a diffusion model.

Inputs of the networks are recorded while the defence purifies training images, over all steps of a
chain (time step-aware calibration, Li et al. 2023). They set the grids of the activations, and the
rounding of the weights is learned on them block by block.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from alp import seeding
from alp.config import require_number
from alp.defences.base import Defence, require_images
from alp.defences.chain import Chain
from alp.defences.quantised import Method, Quantised, QuantisedLayer, networks_of
from alp.defences.quantisers import activation_grid, in_parts
from alp.defences.reconstruction import blocks_of, reconstruct

SAMPLES = 256
"""Inputs of each network that the grids and the rounding are fitted to."""

IMAGES = 32
"""Least number of images behind them: a chain gives an input for each of its steps."""

BATCH = 32
"""Inputs of a network at a time."""

VALUES = 4096
"""Values of a layer's input that are kept of each batch, for the choice of its grid."""

STEPS = 300
"""Steps of learning a block's rounding."""

Report = Callable[[str, int, int], None]
"""Called with (what is being done, finished blocks, all blocks)."""


def quantise(
    defence: Defence,
    images: Tensor,
    weights: int = 8,
    activations: int = 8,
    method: Method = "reconstructed",
    *,
    seed: int = 0,
    steps: int = STEPS,
    report: Report = lambda what, done, total: None,
) -> Quantised:
    """A quantised copy of ``defence``, in evaluation mode.

    Args:
        defence: a classifier behind a purifier or a chain of diffusion, in evaluation mode.
        images: clean training images (B,3,H,W) in [0,1]; of a chain the first 32 are enough.
        weights: bits of a weight, 2 to 8.
        activations: bits of a layer's input, 2 to 8.
        method: ``reconstructed`` (Q-Diffusion) or ``minmax`` (the plain baseline).
        seed: of the draws, the choice of inputs and the learning.
        steps: of learning the rounding of each block.
        report: called after each block.

    Raises:
        UnknownNameError: no such method.
        ConfigError: what is given cannot be quantised so.
    """
    require_images(images)
    require_number("the steps of quantisation", steps, 1, whole=True)
    made = Quantised(defence, weights, activations, method)
    before, after = networks_of(defence), networks_of(made.inner)
    inputs = recorded(defence, before, images, seed)
    blocks = [(name, block) for name, network in after.items() for block in blocks_of(network)]
    for name, network in before.items():
        _set_grids(network, after[name], inputs[name], made)
    if method == "reconstructed":
        for number, (name, block) in enumerate(blocks):
            source = seeding.generator(seed, "quantise rounding", number)
            pair = before[name], after[name]
            reconstruct(*pair, block, _batches(inputs[name]), source, steps)
            report(f"{name}.{block}", number + 1, len(blocks))
    return made.eval()


def recorded(
    defence: Defence, networks: dict[str, nn.Module], images: Tensor, seed: int
) -> dict[str, tuple[Tensor, ...]]:
    """Up to ``SAMPLES`` inputs of each network, drawn evenly from all of its calls."""
    calls = defence.steps * defence.rounds if isinstance(defence, Chain) else 1
    images = images[: max(IMAGES, SAMPLES // calls)]
    seen: dict[str, list[tuple[Tensor, ...]]] = {name: [] for name in networks}
    source = seeding.generator(seed, "quantise draws", device=images.device)
    hooks = [
        network.register_forward_pre_hook(lambda module, given, name=name: seen[name].append(given))
        for name, network in networks.items()
    ]
    try:
        with torch.no_grad():
            for start in range(0, len(images), BATCH):
                defence.predict(images[start : start + BATCH], source, 1)
    finally:
        for hook in hooks:
            hook.remove()
    found = {}
    for name, given in seen.items():
        whole = tuple(torch.cat(each) for each in zip(*given, strict=True))
        chooser = seeding.generator(seed, f"quantise inputs of {name}")
        rows = torch.randperm(len(whole[0]), generator=chooser)[:SAMPLES].to(images.device)
        found[name] = tuple(each[rows] for each in whole)
    return found


def _batches(inputs: tuple[Tensor, ...]) -> list[tuple[Tensor, ...]]:
    return list(zip(*(torch.split(each, BATCH) for each in inputs), strict=True))


def _set_grids(
    network: nn.Module, quantised: nn.Module, inputs: tuple[Tensor, ...], made: Quantised
) -> None:
    """Round the weights of every layer, and choose its inputs' grid by what the float network
    sees."""
    layers = {
        name: layer
        for name, layer in quantised.named_modules()
        if isinstance(layer, QuantisedLayer)
    }
    seen: dict[str, list[Tensor]] = {name: [] for name in layers}

    def keep(name: str, x: Tensor) -> None:
        values = in_parts(x, layers[name].parts).transpose(0, 1).flatten(1)
        # An odd stride: an even one would keep to a few columns of the images.
        some = values[:, :: values.shape[1] // VALUES | 1]
        ends = torch.stack(values.aminmax(dim=1), 1)
        seen[name].append(torch.cat([some, ends], 1))

    hooks = [
        network.get_submodule(name).register_forward_pre_hook(
            lambda module, given, name=name: keep(name, given[0])
        )
        for name in layers
    ]
    try:
        with torch.no_grad():
            for batch in _batches(inputs):
                network(*batch)
    finally:
        for hook in hooks:
            hook.remove()
    for name, layer in layers.items():
        search = made.method == "reconstructed"
        layer.hold(network.get_parameter(f"{name}.weight"), search=search)
        step, zero = activation_grid(torch.cat(seen[name], 1), made.activations, search=search)
        layer.step.copy_(step)
        layer.zero.copy_(zero)

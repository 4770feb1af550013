"""A defence whose purifier or diffusion model computes with few bits, simulated in float."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Literal, Self, TypeAlias, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alp.config import require_number
from alp.defences.base import DEFENCES, Defence, Wrapper
from alp.defences.chain import Chain
from alp.defences.diffusion import UNet
from alp.defences.preprocessed import built
from alp.defences.purified import Defended
from alp.defences.quantisers import codes_of, fake_quantised, in_parts, weight_steps
from alp.errors import ConfigError, choose

Method: TypeAlias = Literal["reconstructed", "minmax"]

METHODS: dict[str, str] = {
    "reconstructed": "steps of least error, two grids for concatenated inputs, learned rounding",
    "minmax": "steps of the whole range, one grid for an input, nearest rounding",
}
"""How numbers get their grids: as Q-Diffusion does (Li et al. 2023), or the plain way."""

LEAST_BITS, MOST_BITS = 2, 8
"""Bits of a number."""


@final
class QuantisedLayer(nn.Module):
    """A convolution or linear layer with the weights and inputs of few bits; its bias is float.

    With two ``parts`` each half of the input channels has grids of its own: the halves of a
    concatenation differ in scale (shortcut splitting, Li et al. 2023).
    """

    codes: Tensor
    """The weights' codes, int8, shaped like the kernel."""
    steps: Tensor
    """Step of the weights of each output channel, (outputs,parts)."""
    step: Tensor
    """Step of the inputs' grid, (parts,)."""
    zero: Tensor
    """The level of an input of 0, (parts,)."""

    def __init__(
        self,
        layer: nn.Conv2d | nn.Linear,
        weights: int,
        activations: int,
        parts: int = 1,
    ) -> None:
        """Its weights are zero until ``hold``, and the grid of its inputs is set by whoever
        calibrates.

        Args:
            layer: what it stands for, without groups and dilation.
            weights: bits of a weight, 2 to 8.
            activations: bits of an input, 2 to 8.
            parts: 1, or 2 where the input is a concatenation of two equal halves.
        """
        super().__init__()
        self.weights, self.activations, self.parts = weights, activations, parts
        self.place: tuple[tuple[int, ...], tuple[int, ...]] | None = None
        if isinstance(layer, nn.Conv2d):
            assert not isinstance(layer.padding, str)
            self.place = layer.stride, layer.padding
        self.bias = layer.bias
        self.register_buffer("codes", torch.zeros(layer.weight.shape, dtype=torch.int8))
        self.register_buffer("steps", torch.ones(len(layer.weight), parts))
        self.register_buffer("step", torch.ones(parts))
        self.register_buffer("zero", torch.zeros(parts))

    def hold(self, weight: Tensor, *, search: bool = False) -> None:
        """Round a kernel to the nearest codes.

        Args:
            weight: the float layer's.
            search: choose the steps by their squared error, not by the largest weights.
        """
        apart = self.apart(weight.detach())
        self.steps.copy_(weight_steps(apart, self.weights, search=search))
        self.codes.copy_(codes_of(apart, self.steps, self.weights).view(weight.shape))

    def apart(self, weight: Tensor) -> Tensor:
        """A kernel (outputs,inputs,...) as (outputs,parts,N)."""
        return weight.reshape(len(weight), self.parts, -1)

    @property
    def weight(self) -> Tensor:
        """The kernel that it computes with."""
        codes = self.codes.to(self.steps.dtype)
        return (self.apart(codes) * self.steps[..., None]).view(codes.shape)

    def forward(self, x: Tensor) -> Tensor:
        shape = (self.parts, *(1,) * (x.ndim - 1))
        grid = self.step.view(shape), self.zero.view(shape)
        x = fake_quantised(in_parts(x, self.parts), *grid, self.activations).flatten(1, 2)
        if self.place is None:
            return F.linear(x, self.weight, self.bias)
        return F.conv2d(x, self.weight, self.bias, *self.place)


@final
@DEFENCES.register("quantised")
class Quantised(Wrapper):
    """A defence by a purifier or a diffusion model whose convolutions and linear layers have
    weights and inputs of few bits (post-training quantisation; Li et al. 2023, "Q-Diffusion").
    The classifier behind it stays float. :func:`alp.defences.quantise.quantise` makes one.

    Rounding has no derivative: attackers get the straight-through one, which is that of the float
    layer inside the range of a grid and zero outside.
    """

    def __init__(
        self,
        inner: Defence,
        weights: int = 8,
        activations: int = 8,
        method: Method = "reconstructed",
    ) -> None:
        """A copy of ``inner`` with quantised layers, which hold nothing yet.

        Args:
            inner: a defence by a purifier or a chain of diffusion.
            weights: bits of a weight, 2 to 8.
            activations: bits of a layer's input, 2 to 8.
            method: ``reconstructed`` or ``minmax``, see ``METHODS``.

        Raises:
            UnknownNameError: no such method.
            ConfigError: the bits are out of range, or ``inner`` is another defence.
        """
        require_number("the bits of weights", weights, LEAST_BITS, MOST_BITS, whole=True)
        require_number("the bits of activations", activations, LEAST_BITS, MOST_BITS, whole=True)
        choose(METHODS, method, "method of quantisation")
        copy = _with_own_networks(inner)
        for network in networks_of(copy).values():
            halves = concatenated(network) if method == "reconstructed" else ()
            for name, layer in list(layers_of(network)):
                parts = 2 if name in halves else 1
                network.set_submodule(name, QuantisedLayer(layer, weights, activations, parts))
        super().__init__(copy)
        self.weights, self.activations, self.method = weights, activations, method
        rounding = "the straight-through derivative in place of rounding's"
        self.surrogate = f"{inner.surrogate}, and {rounding}" if inner.surrogate else rounding

    @property
    def settings(self) -> dict[str, Any]:
        return {"weights": self.weights, "activations": self.activations, "method": self.method}

    def describe(self) -> dict[str, Any]:
        return {"kind": "quantised", "settings": self.settings, "model": self.inner.describe()}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        return cls(built(description["model"]), **description["settings"])


def networks_of(defence: Defence) -> dict[str, nn.Module]:
    """The networks of a defence that are quantised, by name.

    Raises:
        ConfigError: it has no purifier and no chain of diffusion.
    """
    if isinstance(defence, Defended):
        return {"encoder": defence.purifier.encoder, "decoder": defence.purifier.decoder}
    if isinstance(defence, Chain):
        return {"network": defence.diffusion.network}
    raise ConfigError(
        f"a {type(defence).__name__} has nothing to quantise; give a classifier behind a purifier, "
        "or behind diffpure, gdmp or one-step"
    )


def layers_of(network: nn.Module) -> Iterator[tuple[str, nn.Conv2d | nn.Linear]]:
    """The convolutions and linear layers of a network, with their names."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            yield name, module


def concatenated(network: nn.Module) -> tuple[str, ...]:
    """The layers of a network whose input is a concatenation of two equal halves."""
    return network.concatenated if isinstance(network, UNet) else ()


def _with_own_networks(defence: Defence) -> Defence:
    """The same defence with copies of its networks; the classifier is shared."""
    networks_of(defence)
    part = "purifier" if isinstance(defence, Defended) else "diffusion"
    copy = defence._twin()
    copy._modules[part] = deepcopy(copy._modules[part])
    return copy

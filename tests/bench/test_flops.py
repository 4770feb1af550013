"""Counted operations against their closed forms."""

from __future__ import annotations

import torch
from torch import nn

from alp.bench.roofline import Flops, count, counted
from alp.defences import Defended


def test_a_convolution() -> None:
    layer, x = nn.Conv2d(3, 8, 3, 2, 1), torch.zeros(5, 3, 16, 16)
    assert counted(lambda: layer(x)) == 2 * 5 * 8 * 8 * 8 * 3 * 3 * 3


def test_the_halves_of_a_model(new_classifier, new_purifier) -> None:
    """Against what hooks on every convolution and linear layer add up."""
    model = Defended(new_classifier(), new_purifier()).eval()
    seen = {"encoder": 0, "draw": 0}

    def hook(half: str):
        def add(layer: nn.Module, inputs, output: torch.Tensor) -> None:
            macs = output.numel() * layer.weight[0].numel()
            seen[half] += 2 * macs

        return add

    for half, parts in (
        ("encoder", [model.purifier.encoder]),
        ("draw", [model.purifier.decoder, model.classifier]),
    ):
        for part in parts:
            for layer in part.modules():
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    layer.register_forward_hook(hook(half))
    with torch.no_grad():
        model(torch.zeros(1, 3, 16, 12), draws=1)
    wanted = Flops(**seen)
    assert wanted.encoder > 0
    assert count(model, (16, 12)) == wanted


def test_the_encoder_counts_once() -> None:
    assert Flops(encoder=1000, draw=10).total(images=2, draws=20) == 2 * 1200

"""Which parameters decay, and how fast each learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from alp.config import ClassifierConfig, OptimConfig, PurifierConfig
from alp.defences import Defended, Purifier, ResNetLite
from alp.training.loop import build_optimizer


def groups_of(model: nn.Module, config: OptimConfig) -> dict[str, dict]:
    """The group of each parameter, by name."""
    names = {id(p): name for name, p in model.named_parameters()}
    optimizer = build_optimizer(model, config)
    return {names[id(p)]: group for group in optimizer.param_groups for p in group["params"]}


@pytest.fixture
def model() -> Defended:
    code = PurifierConfig(8, 8, 1, noise="per-channel")
    return Defended(ResNetLite(ClassifierConfig("tiny")), Purifier(code))


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_weights_alone_decay(model: Defended, kind: str) -> None:
    groups = groups_of(model, OptimConfig(optimizer=kind, weight_decay=0.1))
    layers = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
    decayed = {name for name, group in groups.items() if group["weight_decay"] == 0.1}
    assert decayed == layers
    assert all(groups[name]["weight_decay"] == 0 for name in groups.keys() - layers)


def test_every_parameter_is_trained_once(model: Defended) -> None:
    groups = groups_of(model, OptimConfig())
    assert groups.keys() == dict(model.named_parameters()).keys()


def test_frozen_parameters_are_left_out(model: Defended) -> None:
    model.purifier.requires_grad_(False)
    assert all(name.startswith("classifier.") for name in groups_of(model, OptimConfig()))


@pytest.mark.parametrize("noise", ["learned", "per-channel"])
def test_sigma_alone_learns_faster_and_never_decays(noise: str) -> None:
    purifier = Purifier(PurifierConfig(8, 8, 1, noise=noise))
    groups = groups_of(purifier, OptimConfig(weight_decay=0.1))
    assert groups["noise.rho"]["weight_decay"] == 0
    assert groups["noise.rho"]["scale"] > 1
    assert {group["scale"] for name, group in groups.items() if name != "noise.rho"} == {1}


def test_a_fixed_sigma_is_not_trained() -> None:
    purifier = Purifier(PurifierConfig(8, 8, 1, noise="fixed"))
    assert "noise.rho" not in groups_of(purifier, OptimConfig())


def test_the_optimisers_are_the_ones_named(model: Defended) -> None:
    sgd = build_optimizer(model, OptimConfig(optimizer="sgd"))
    assert isinstance(sgd, torch.optim.SGD)
    assert sgd.defaults["momentum"] == 0.9
    assert sgd.defaults["nesterov"]
    assert isinstance(build_optimizer(model, OptimConfig(optimizer="adamw")), torch.optim.AdamW)

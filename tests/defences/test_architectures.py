"""Classifiers of other kinds: equal cost, any size of image, found again in files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from alp.config import ClassifierConfig, EngineConfig, OptimConfig
from alp.data import load_data
from alp.defences import Defended, Purifier, ResNetLite
from alp.defences.architectures import BODIES, Layer, Network, classifier_by, positions
from alp.defences.checkpoint import load_model, save
from alp.errors import ConfigError, UnknownNameError
from alp.seeding import generator, initialising, uniform
from alp.training.stages import ClassifierStage
from alp.training.train import train

KINDS = list(BODIES)


def images(height: int = 32, width: int = 32) -> torch.Tensor:
    return uniform((2, 3, height, width), generator(0, "images"))


def multiplications(config: ClassifierConfig) -> float:
    """Of all layers, and of attention, which the counter leaves out."""
    model, inside = classifier_by(config).eval(), []

    def keep(module: Layer, given: tuple[torch.Tensor], out: torch.Tensor) -> None:
        _, tokens, width = given[0].shape
        inside.append(2 * tokens**2 * width)

    for module in model.modules():
        if isinstance(module, Layer):
            module.register_forward_hook(keep)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(images()[:1])
    return counter.get_total_flops() / 2 + sum(inside)


@pytest.mark.parametrize("size", ["tiny", "lite", "base"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_cost_is_that_of_the_residual_one(kind, size) -> None:
    ours = multiplications(ClassifierConfig(size))
    assert multiplications(ClassifierConfig(size, architecture=kind)) == pytest.approx(
        ours, rel=0.1
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(32, 32), (18, 23)])
def test_any_size_of_image_works(kind, shape) -> None:
    model = Network(ClassifierConfig("tiny", 7, kind)).eval()
    assert model(images(*shape)).shape == (2, 7)


def test_positions_tell_rows_from_columns() -> None:
    found = positions(torch.zeros(1, 8, 3, 4))
    assert found.shape == (8, 3, 4)
    assert torch.equal(found[:4, 1, 0], found[:4, 1, 3])
    assert torch.equal(found[4:, 0, 2], found[4:, 2, 2])
    assert not torch.equal(found[:4, 0, 0], found[:4, 1, 0])
    flat = found.flatten(1).T
    assert (torch.cdist(flat, flat) < 1e-6).sum() == len(flat)


def test_a_transformer_sees_where_a_patch_is() -> None:
    with initialising(0, "network"):
        model = Network(ClassifierConfig("tiny", architecture="attention")).eval()
    x = images()
    with torch.no_grad():
        moved = (model(x) - model(x.roll(4, 3))).abs().max()
    assert moved > 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_behind_a_purifier_it_is_found_again(kind, tmp_path: Path) -> None:
    with initialising(0, "both"):
        config = ClassifierConfig("tiny", architecture=kind)
        model = Defended(classifier_by(config), Purifier(), draws=1).eval()
    save(model, tmp_path / "both.safetensors")
    again = load_model(tmp_path / "both.safetensors")
    assert again.classifier.config == config
    x = images()
    with torch.no_grad():
        assert torch.equal(again.classifier(x), model.classifier(x))


def test_each_class_takes_its_own_architectures() -> None:
    with pytest.raises(ConfigError, match="ResNetLite is 'plain'"):
        ResNetLite(ClassifierConfig(architecture="plain"))
    with pytest.raises(UnknownNameError, match="Network 'residual'"):
        Network(ClassifierConfig())


def test_files_of_residual_ones_say_what_they_said() -> None:
    assert ResNetLite().describe() == {
        "kind": "classifier",
        "config": {"size": "lite", "classes": 10},
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_it_learns(kind, tmp_path: Path) -> None:
    data = load_data("shapes", "train").take(32)
    stage = ClassifierStage(
        ClassifierConfig("tiny", len(data.classes), kind),
        optim=OptimConfig(epochs=8.0, batch_size=16, optimizer="adamw", lr=2e-3, ema=0.0),
    )
    made = train(stage, tmp_path, data, engine=EngineConfig(threads=1))
    losses = made.record["curve"]["loss"]
    assert losses[-1] < 0.9 * losses[0]
    assert type(made.model) is Network

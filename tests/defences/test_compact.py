"""Purifiers of other strides, without the linear path, and with a latent whose scale is held."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import alp
from alp.config import PurifierConfig, from_dict, to_dict
from alp.defences import Purifier, ResNetLite, defend
from alp.defences.checkpoint import load_model, save
from alp.errors import ConfigError
from alp.seeding import generator
from alp.training import PurifierStage

SMALL = {"latent_channels": 8, "width": 8, "blocks": 1}
LATER = {"stride": 8, "linear": False, "latent": "unit"}


def small(**settings) -> Purifier:
    torch.manual_seed(0)
    return Purifier(PurifierConfig(**(SMALL | settings))).eval()


@pytest.mark.parametrize("linear", [True, False])
def test_the_latent_has_an_eighth_of_the_size(linear: bool) -> None:
    purifier, x = small(stride=8, linear=linear), torch.rand(2, 3, 30, 37)
    assert purifier.encode(x).shape == (2, 8, 4, 5)
    assert purifier(x, generator(0, "draw")).shape == x.shape


def test_the_compact_latent_of_a_picture_is_smaller_than_the_picture() -> None:
    x = torch.rand(1, 3, 32, 32)
    counts = {s: small(stride=s, latent_channels=64).encode(x).numel() for s in (4, 8)}
    assert counts == {4: 4096, 8: 1024}


def test_without_the_linear_path_no_value_goes_around_the_network() -> None:
    for linear in (True, False):
        names = {name.split(".")[1] for name in small(linear=linear).state_dict() if "." in name}
        assert ("linear" in names) == linear
    x = torch.rand(2, 3, 16, 16)
    purifier = small(linear=False)
    image = purifier.decode(purifier.encode(x), (16, 16))
    (gradient,) = torch.autograd.grad(image.square().sum(), purifier.encoder.stem[1].weight)
    assert gradient.abs().max() > 0, "it can learn from the start"


def test_what_holds_the_latent_holds_it() -> None:
    x = torch.rand(2, 3, 16, 16)
    free, bounded, unit = (small(latent=latent).encode(x) for latent in ("free", "bounded", "unit"))
    assert torch.allclose(bounded, free.tanh())
    assert torch.allclose(unit.square().mean(1), torch.ones(2, 4, 4), atol=1e-3)
    assert torch.allclose(unit * free.square().mean(1, keepdim=True).sqrt(), free, atol=1e-3)


@pytest.mark.parametrize("later", [{key: value} for key, value in LATER.items()], ids=str)
def test_it_comes_back_from_its_file(later, tmp_path: Path) -> None:
    for model in (small(**later), defend(ResNetLite(), small(**later)).eval()):
        save(model, tmp_path / "weights.safetensors")
        other = load_model(tmp_path / "weights.safetensors")
        assert other.describe() == model.describe()
        x = torch.rand(2, 3, 32, 32)
        assert torch.equal(model(x, generator(0, "draw")), other(x, generator(0, "draw")))


def test_files_of_usual_purifiers_say_what_they_always_said() -> None:
    usual = alp.load("cifar10-lite/purifier").describe()["config"]
    assert set(usual) & set(LATER) == set()
    assert small().describe()["config"].keys() == usual.keys()
    assert small(stride=8).describe()["config"].keys() == usual.keys() | {"stride"}


def test_trainings_of_before_are_found_again() -> None:
    """Their keys are made of the settings; a stage has no more of them than it had."""
    assert set(to_dict(PurifierStage())["purifier"]) & set(LATER) == set()
    wide = PurifierStage(PurifierConfig(stride=8))
    assert to_dict(wide)["purifier"]["stride"] == 8
    assert from_dict(PurifierStage, to_dict(wide)) == wide


@pytest.mark.parametrize("setting", [{"stride": 6}, {"latent": "flat"}, {"linear": 1}], ids=str)
def test_other_settings_are_refused(setting) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        small(**setting)

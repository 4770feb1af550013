"""Every named recipe: whole, honest about its cost, and able to be built."""

from __future__ import annotations

import typing

import pytest

from alp.config import from_dict, to_dict
from alp.errors import UnknownNameError
from alp.training import (
    CertifiedStage,
    ClassifierStage,
    DenoiserStage,
    DiffusionStage,
    DistilledStage,
    EnsembleStage,
    GuardStage,
    HGDStage,
    JointStage,
    MagNetStage,
    PurifierStage,
    UnifiedStage,
)
from alp.training.recipes import RECIPES, SCALES, Recipe, Scale, recipe

ALL = [(name, scale) for name, scales in RECIPES.items() for scale in scales]
every_recipe = pytest.mark.parametrize(("name", "scale"), ALL)


def test_every_recipe_has_every_scale() -> None:
    assert set(SCALES) == set(typing.get_args(Scale))
    assert all(set(scales) == set(SCALES) for scales in RECIPES.values())


@every_recipe
def test_it_states_its_cost_and_result(name: str, scale: str) -> None:
    chosen = recipe(name, scale)
    assert any(letter.isalpha() for letter in chosen.cost)
    assert any(letter.isalnum() for letter in chosen.result)


@every_recipe
def test_it_needs_the_weights_that_its_stage_does(name: str, scale: str) -> None:
    chosen = recipe(name, scale)
    own = {
        "purifier": PurifierStage,
        "joint": JointStage,
        "certified": CertifiedStage,
        "diffusion": DiffusionStage,
        "magnet": MagNetStage,
        "hgd": HGDStage,
        "ensemble-adversarial": EnsembleStage,
        "distilled": DistilledStage,
        "unified": UnifiedStage,
        "guard": GuardStage,
        "denoiser": DenoiserStage,
    }
    kind = own.get(name, ClassifierStage)
    assert type(chosen.stage) is kind
    assert chosen.purifier is (name == "joint" or name.endswith("-purified"))
    asked = {part for part in ("purifier", "classifier") if getattr(chosen, part)}
    assert asked <= kind.needs | kind.takes
    assert kind.needs - {"validation"} <= asked


@every_recipe
def test_its_settings_can_be_written_down(name: str, scale: str) -> None:
    stage = recipe(name, scale).stage
    assert from_dict(type(stage), to_dict(stage)) == stage


@pytest.mark.parametrize("name", RECIPES)
def test_scales_grow(name: str) -> None:
    def work(chosen: Recipe) -> float:
        return chosen.stage.optim.epochs

    assert work(recipe(name, "smoke")) <= work(recipe(name, "demo"))
    assert work(recipe(name, "cpu")) <= work(recipe(name, "gpu"))


def test_an_unknown_recipe_or_scale_lists_the_valid_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown recipe 'huge'.*purifier"):
        recipe("huge", "cpu")
    with pytest.raises(UnknownNameError, match=r"unknown scale 'tpu'.*cpu"):
        recipe("purifier", "tpu")

"""A contract over every command: its help explains each field of each of its dataclasses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from inspect import signature
from typing import Any

import pytest

from alp.attacks import ATTACKS, THREATS
from alp.cli import COMMANDS
from alp.cli.settings import explain
from alp.defences.assemble import MODELS, assemblable
from alp.defences.base import DEFENCES
from alp.training.recipes import RECIPES, SCALES, recipe

CASES: list[tuple[list[str], dict[str, Any]]] = [
    *(([name], {}) for name in COMMANDS if name not in ("train", "protocol", "attack")),
    *(
        (["train", name, "--scale", scale], {"stage": recipe(name, scale).stage})
        for name in RECIPES
        for scale in SCALES
    ),
    *(
        (
            [command, "--method", method, "--norm", norm],
            {"attack": ATTACKS[method](), "threat": THREATS[norm]()},
        )
        for command in ("protocol", "attack")
        for method in ("fgsm", "bim", "pgd")
        for norm in THREATS
    ),
]


def leaves(kind: type, nested: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str, Any]]:
    """Dotted name, explanation and default of every field, found without the parser."""
    for each in fields(kind):
        default = nested.get(each.name, each.default)
        if default is MISSING and each.default_factory is not MISSING:
            default = each.default_factory()
        key = prefix + each.name
        yield key, explain(kind)[each.name], default
        if is_dataclass(default):
            inner = {part.name: getattr(default, part.name) for part in fields(default)}
            yield from leaves(type(default), inner, f"{key}.")


def flat(text: str) -> str:
    """Without white space, since argparse breaks lines anywhere."""
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize(("arguments", "nested"), CASES, ids=lambda case: " ".join(case))
def test_help_explains_every_field(alp, arguments: list[str], nested: dict[str, Any]) -> None:
    told = alp(*arguments, "--help")
    assert told.status == 0
    settings = import_module(f"alp.cli.{arguments[0]}").Settings
    shown = flat(told.out)
    usage = told.out.replace("[", "")  # around what may be left out
    assert flat(settings.__doc__) in shown
    for key, text, default in leaves(settings, nested):
        positional = f"usage: alp {arguments[0]} {key.upper()}"
        assert f"--{key}" in told.out or f"{key}:" in told.out or positional in usage, key
        assert flat(text) in shown, key
        if isinstance(default, int | str) and not isinstance(default, bool):
            assert flat(f"{text} (default: {default})") in shown, key


def test_defaults_are_those_of_the_recipe_at_the_scale(alp) -> None:
    small, large = (alp("train", "purifier", "--scale", s, "--help").out for s in ("smoke", "gpu"))
    width = r"--stage\.purifier\.width N\s.*?\(default:\s+(\d+)\)"
    assert [re.search(width, text, re.DOTALL)[1] for text in (small, large)] == ["8", "96"]


def test_fractions_are_shown_as_they_are_written(alp) -> None:
    assert "(default:8/255)" in flat(alp("protocol", "--help").out)


def test_train_help_without_a_recipe_points_to_the_recipes(alp) -> None:
    told = alp("train", "--help")
    assert told.status == 0
    assert all(name in told.out for name in RECIPES)
    assert "alp train RECIPE --help" in " ".join(told.out.split())
    assert "--stage" not in told.out


def test_defend_explains_the_settings_of_every_defence(alp) -> None:
    """With the defaults of the constructors, behind the model that a defence needs."""
    told = flat(alp("defend", "--help").out)
    for name in assemblable():
        parameters = [*signature(DEFENCES[name]).parameters.values()]
        models = [each.name for each in parameters if each.name in MODELS][1:]
        start = flat(f"{name} (--{models[0]}):" if models else f"{name}:")
        assert start in told
        words = re.split(r"\.(?=[a-z-]+(?:\(--[a-z]+\))?:)", told.split(start)[1])[0]
        for each in parameters[1 + len(models) :]:
            assert f"{each.name}={each.default}" in words, name

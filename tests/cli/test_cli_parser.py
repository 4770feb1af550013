"""From arguments and files to settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alp.attacks import BIM, L2, PGD, Linf
from alp.cli import protocol, train
from alp.cli.settings import UsageError, parse
from alp.cli.values import number, worded
from alp.errors import ConfigError
from alp.training.recipes import recipe


def protocol_of(*arguments: str) -> protocol.Settings:
    return parse("protocol", protocol.Settings, ["w", "--out", "o", *arguments])


def training(*arguments: str) -> train.Settings:
    return parse("train", train.Settings, list(arguments))


def test_defaults_are_those_of_the_dataclasses() -> None:
    made = protocol_of()
    assert made.weights == (Path("w"),)
    assert (made.threat, made.attack) == (Linf(), PGD())
    assert made.knowledge == ("oblivious", "single", "masked")
    assert not made.json


@pytest.mark.parametrize("name", ["purifier", "adversarial", "joint"])
@pytest.mark.parametrize("scale", ["smoke", "cpu", "gpu"])
def test_a_recipe_gives_the_stage(name: str, scale: str) -> None:
    assert training(name, "--out", "o", "--scale", scale).stage == recipe(name, scale).stage


def test_options_override_the_recipe() -> None:
    made = training("joint", "--out", "o", "--scale=smoke", "--stage.optim.epochs", "2")
    assert made.stage.optim.epochs == 2
    assert made.stage.optim.lr == recipe("joint", "smoke").stage.optim.lr


def test_fractions() -> None:
    made = protocol_of("--threat.eps", "4/255", "--attack.step_size=1/255")
    assert made.threat == Linf(4 / 255)
    assert made.attack == PGD(step_size=1 / 255)
    assert protocol_of("--attack.step_size", "none").attack == PGD()


def test_the_method_and_the_norm_decide_about_other_options() -> None:
    made = protocol_of("--method", "bim", "--attack.steps", "3", "--norm", "l2")
    assert (made.attack, made.threat) == (BIM(steps=3), L2())
    with pytest.raises(UsageError, match="restarts"):
        protocol_of("--method", "bim", "--attack.restarts", "3")


@pytest.mark.parametrize("kind", ["yaml", "json"])
def test_files_and_overrides(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"settings.{kind}"
    values = {"method": "bim", "attack": {"steps": 3}, "threat": {"eps": "2/255"}, "images": 7}
    path.write_text(json.dumps(values))
    made = protocol_of("--config", str(path), "--attack.steps", "4")
    assert made.attack == BIM(steps=4)
    assert made.threat == Linf(2 / 255)
    assert made.images == 7
    assert protocol_of("--method", "pgd", "--config", str(path)).attack == BIM(steps=3)


@pytest.mark.parametrize("text", ["attack: {nonsense: 3}", "nonsense: 3", "images: many", "[1]"])
def test_wrong_files(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(UsageError):
        protocol_of("--config", str(path))


def test_a_printed_configuration_gives_the_same_settings(alp, tmp_path: Path) -> None:
    line = ["train", "joint", "--out", "o", "--scale", "gpu", "--stage.adversary.eps", "4/255"]
    told = alp(*line, "--print_config")
    assert told.status == 0
    path = tmp_path / "settings.yaml"
    path.write_text(told.out)
    assert training("--config", str(path)) == training(*line[1:])


def test_refused_values_are_not_usage_errors() -> None:
    with pytest.raises(ConfigError, match="eps"):
        protocol_of("--threat.eps", "8")


@given(st.floats(0, 1e6), st.floats(1e-3, 1e6))
def test_number(above: float, below: float) -> None:
    assert number(f"{above!r}/{below!r}") == above / below
    assert number(repr(above)) == above


@given(st.text())
def test_any_text_is_a_number_or_a_value_error(text: str) -> None:
    try:
        assert isinstance(number(text), float)
    except ValueError:
        return


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_for_an_option_is_a_setting_or_a_usage_error(text: str) -> None:
    try:
        made = protocol_of(f"--images={text}", f"--threat.eps={text}")
    except (UsageError, ConfigError):
        return
    assert made.images >= 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (8 / 255, "8/255"),
        (0.5, "0.5"),
        (1e-6, "1e-06"),
        (2, "2"),
        (("a", "b"), "a b"),
        (True, "true"),
    ],
)
def test_worded(value: object, text: str) -> None:
    assert worded(value) == text


def test_a_choice_among_numbers() -> None:
    line = ["purifier", "--out", "here", "--stage.purifier.stride"]
    assert parse("train", train.Settings, [*line, "8"]).stage.purifier.stride == 8
    with pytest.raises(UsageError, match="'16' is unknown; give one of: 4, 8"):
        parse("train", train.Settings, [*line, "16"])

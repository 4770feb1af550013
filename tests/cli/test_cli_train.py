"""``alp train``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import alp as library
from alp.errors import ConfigError
from alp.training import recipes


def test_weights_and_record(alp, weights, pictures: Path) -> None:
    assert isinstance(library.load(weights.purifier), library.Purifier)
    assert isinstance(library.load(weights.classifier), library.ResNetLite)
    assert isinstance(library.load(weights.defended), library.Defended)
    record = json.loads((weights.classifier.parent / "training.json").read_text())
    assert record["settings"]["optim"]["epochs"] == 3
    assert record["settings"]["classifier"]["classes"] == 3


def test_again_is_finished_at_once_and_json_is_all_of_stdout(alp, weights, pictures) -> None:
    before = weights.purifier.stat().st_mtime_ns
    line = ("train", "purifier", "--scale", "smoke", "--data", pictures)
    told = alp(*line, "--out", weights.purifier.parent, "--json")
    assert told.status == 0
    result = json.loads(told.out)
    assert result["weights"] == str(weights.purifier)
    assert result["stage"] == "PurifierStage"
    assert set(result["final"]) >= {"loss", "sigma"}
    assert weights.purifier.stat().st_mtime_ns == before


def test_other_settings_need_another_folder(alp, weights, pictures) -> None:
    line = ("train", "purifier", "--scale", "smoke", "--data", pictures, "--seed", 1)
    told = alp(*line, "--out", weights.purifier.parent)
    assert told.status == 1
    assert "another folder" in told.err


def test_words_and_progress_go_to_different_streams(alp, pictures, tmp_path: Path) -> None:
    line = ("train", "standard", "--scale", "smoke", "--data", pictures, "--out", tmp_path)
    told = alp(*line, "--engine.threads", 1)
    assert told.status == 0
    assert str(tmp_path / "weights.safetensors") in told.out
    assert "train standard: 1/1 steps" in told.err
    assert "train standard" not in told.out


@pytest.mark.parametrize("name", ["purifier", "classifier"])
def test_missing_weights_are_asked_for(alp, monkeypatch, tmp_path: Path, name: str) -> None:
    needs = {"purifier": False, "classifier": False} | {name: True}
    entry = replace(recipes.recipe("joint", "smoke"), **needs)
    monkeypatch.setitem(recipes.RECIPES["joint"], "smoke", entry)
    told = alp("train", "joint", "--scale", "smoke", "--out", tmp_path)
    assert told.status == 1
    assert f"--{name}" in told.err


def test_weights_of_another_kind(alp, weights, pictures, tmp_path: Path) -> None:
    line = ("train", "joint", "--scale", "smoke", "--data", pictures, "--out", tmp_path)
    told = alp(*line, "--purifier", weights.classifier, "--classifier", weights.classifier)
    assert told.status == 1
    assert "holds a ResNetLite" in told.err


@pytest.mark.parametrize(("size", "from_packaged"), [("lite", True), ("tiny", False)])
def test_another_architecture_starts_from_scratch(
    alp, pictures, tmp_path: Path, monkeypatch, size: str, from_packaged: bool
) -> None:
    seen: list[Path | None] = []

    def stop(stage, folder, images, *, classifier, **settings) -> None:
        seen.append(classifier)
        raise ConfigError("seen")

    monkeypatch.setattr("alp.training.train.train", stop)
    alp(
        "train", "certified", "--data", pictures, "--stage.classifier.size", size, "--out", tmp_path
    )
    assert seen == [Path("cifar10-lite/adversarial") if from_packaged else None]

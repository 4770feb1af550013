"""``alp package``, and every command that takes packaged names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import alp as library
from alp.cli import main
from alp.cli.common import name_of
from alp.defences import packaged
from alp.defences.checkpoint import weights_digest


@pytest.fixture(scope="module")
def root(weights, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package ``small``."""
    root = tmp_path_factory.mktemp("weights")
    line = ["small", "--data", str(pictures), "--images", "6", "--out", str(root), "--rows"]
    rows = {"purifier": "purifier", "standard": "classifier", "defended": "defended"}
    given = [f"{row}={getattr(weights, name).parent}" for row, name in rows.items()]
    assert main(["package", *line, *given]) == 0
    return root


@pytest.fixture
def installed(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, as the packages of this installation."""
    monkeypatch.setattr(packaged, "ROOT", root)
    return root


def test_what_it_says(alp, weights, pictures, tmp_path: Path) -> None:
    line = ("package", "small", "--data", pictures, "--images", 6, "--out", tmp_path, "--rows")
    told = alp(*line, f"defended={weights.defended.parent}")
    assert told.status == 0
    assert "half precision; rounding changes outputs by at most" in told.out
    assert str(tmp_path / "small") in told.out
    result = json.loads(alp(*line, f"defended={weights.defended.parent}", "--json").out)
    assert result["rows"]["defended"]["images"] == 6
    assert set(result["bytes"]) == {
        "README.md", "defended-classifier.safetensors", "defended-purifier.safetensors",
    }  # fmt: skip


@pytest.mark.parametrize("rows", [["defended"], ["defended=a", "defended=b"], ["=a"]])
def test_rows_are_given_with_their_folders(alp, tmp_path: Path, rows: list[str]) -> None:
    told = alp("package", "small", "--out", tmp_path, "--rows", *rows)
    assert told.status == 2
    assert "ROW=FOLDER" in told.err


def test_records_of_both_kinds_go_into_the_manifest(
    alp, installed, weights, pictures, tmp_path: Path
) -> None:
    common = ("--data", pictures, "--images", 3, "--device", "cpu", "--draws", 20)
    line = ("protocol", "small", *common, "--attack.steps", 1, "--out", tmp_path / "records")
    assert alp(*line).status == 0
    records = tmp_path / "records" / "records"
    given = ("--data", pictures, "--images", 6, "--out", tmp_path, "--records", records)
    told = alp("package", "small", *given, "--rows", f"defended={weights.defended.parent}")
    assert told.status == 0
    row = packaged.open_package(tmp_path / "small").manifest["rows"]["defended"]
    (protocol,) = row["evaluation"]["protocols"]
    assert protocol["as_packaged"]
    assert protocol["images"] == 3
    assert "source paper's protocol" in (tmp_path / "small" / "README.md").read_text()
    (damaged,) = records.glob("*.parquet")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    told = alp("package", "small", *given, "--rows", f"defended={weights.defended.parent}")
    assert told.status == 1
    assert damaged.stem in told.err


def test_models_lists_and_describes_them(alp, installed) -> None:
    listed = json.loads(alp("models", "--json").out)["packaged"]
    assert {each["name"] for each in listed} == {"small", "small/purifier", "small/standard"}
    assert all(each["worst"] is None for each in listed)
    assert "small/standard" in alp("models").out
    described = json.loads(alp("models", "small/standard", "--json").out)
    assert described["kind"] == "classifier"
    assert described["digest"] == weights_digest(library.load("small/standard"))


def test_attack_and_purify_take_names(alp, installed, pictures, tmp_path: Path) -> None:
    line = ("attack", "small/standard", "--data", pictures, "--images", 3, "--pictures", 0)
    assert alp(*line, "--attack.steps", 1, "--out", tmp_path).status == 0
    picture = next((pictures / "dark").iterdir())
    for name in ("small", "small/purifier"):
        assert alp("purify", picture, "--purifier", name, "--out", tmp_path).status == 0


def test_trainings_start_from_names(alp, installed, pictures, tmp_path: Path) -> None:
    line = ("train", "standard-purified", "--scale", "smoke", "--data", pictures)
    parents = ("--purifier", "small/purifier", "--classifier", "small/standard")
    told = alp(*line, *parents, "--out", tmp_path, "--engine.threads", 1)
    assert told.status == 0
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["parents"]["purifier"] == weights_digest(library.load("small/purifier"))


def test_an_unknown_name_lists_the_valid_ones(alp, installed, tmp_path: Path) -> None:
    for line in (("evaluate", "teapot"), ("protocol", "teapot"), ("attack", "teapot")):
        told = alp(*line, "--out", tmp_path)
        assert told.status == 1
        assert "small, small/purifier, small/standard, small/defended" in told.err


def test_names_of_records() -> None:
    named = {"runs/at/weights.safetensors": "at", "a/b.safetensors": "b"}
    named |= {"cifar10-lite": "cifar10-lite", "cifar10-lite/standard": "cifar10-lite-standard"}
    for path, name in named.items():
        assert name_of(Path(path)) == name


def test_a_package_beside_its_name(alp, root, tmp_path: Path, monkeypatch) -> None:
    shutil.copytree(root / "small", tmp_path / "copy")
    monkeypatch.chdir(tmp_path)
    assert json.loads(alp("models", "copy/standard", "--json").out)["kind"] == "classifier"

"""``alp attack``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from alp.records import read

PICTURES = 3


@pytest.fixture
def line(pictures: Path, tmp_path: Path) -> list[object]:
    return ["--data", pictures, "--images", 12, "--draws", 3, "--attack.steps", 2,
            "--pictures", PICTURES, "--device", "cpu", "--out", tmp_path / "out"]  # fmt: skip


def test_pictures_tensors_and_words(alp, line, weights, tmp_path: Path) -> None:
    told = alp("attack", weights.defended, *line)
    assert told.status == 0
    assert "95 % interval" in told.out
    assert "single: The attacker sees" in told.out
    out = tmp_path / "out"
    names = {path.name for path in (out / "pictures").iterdir()}
    kinds = ("clean", "attacked", "difference", "purified")
    assert names == {f"{number:04d}-{kind}.png" for number in range(PICTURES) for kind in kinds}
    tensors = load_file(out / "adversarial.safetensors")
    assert tensors["attacked"].shape == (12, 3, 16, 16)
    assert (tensors["attacked"] - tensors["clean"]).abs().max() <= 8 / 255 + 1e-6
    picture = np.asarray(Image.open(out / "pictures" / "0001-attacked.png"))
    kept = tensors["attacked"][1].permute(1, 2, 0).numpy()
    assert np.abs(picture / 255 - kept).max() <= 0.5 / 255 + 1e-6
    grey = np.asarray(Image.open(out / "pictures" / "0001-difference.png"))
    change = (tensors["attacked"] - tensors["clean"])[1].permute(1, 2, 0).numpy()
    assert np.abs(grey / 255 - np.clip(0.5 + 10 * change, 0, 1)).max() <= 0.5 / 255 + 1e-6
    with Image.open(out / "grid.png") as grid:
        assert grid.size == (PICTURES * (16 * 6 + 2), 4 * (16 * 6 + 2))


def test_an_undefended_classifier_has_no_purified_pictures(alp, line, weights, tmp_path) -> None:
    told = alp("attack", weights.classifier, *line, "--norm", "l2", "--method", "bim", "--json")
    assert told.status == 0
    result = json.loads(told.out)
    assert result["protocol"]["threat"] == {"name": "l2", "eps": 0.5}
    assert result["protocol"]["attack"]["name"] == "bim"
    assert 0 < result["mean_distance"] <= 0.5 + 1e-4
    assert not list((tmp_path / "out" / "pictures").glob("*purified*"))


def test_the_same_attack_as_in_an_evaluation(alp, line, weights, pictures, tmp_path) -> None:
    told = alp("attack", weights.defended, *line, "--json")
    measured = json.loads(told.out)
    place = line.index("--pictures")
    same = line[:place] + line[place + 2 : -2]
    alp("protocol", weights.defended, *same, "--out", tmp_path / "e", "--knowledge", "single")
    record = read(tmp_path / "e" / "records" / "defended")
    tensors = load_file(tmp_path / "out" / "adversarial.safetensors")
    for name in ("clean", "single"):
        ours = "attacked" if name == "single" else name
        predicted = tensors[f"{ours}_prediction"].numpy()
        assert (predicted == record.columns[f"{name}_prediction"]).all()
        assert measured[ours]["value"] == record.columns[f"{name}_correct"].mean()
    assert np.allclose(tensors["distance"].numpy(), record.columns["single_distance"])


def test_no_pictures(alp, line, weights, tmp_path: Path) -> None:
    assert alp("attack", weights.classifier, *line, "--pictures", 0).status == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["adversarial.safetensors"]


def test_a_purifier_alone_is_refused(alp, line, weights) -> None:
    told = alp("attack", weights.purifier, *line)
    assert told.status == 1
    assert "classifies nothing" in told.err


def test_an_attacker_who_averages_draws(alp, line, weights, tmp_path: Path) -> None:
    attacked = []
    for averaged in (1, 4):
        told = alp("attack", weights.defended, *line, "--knowledge", "eot", "--averaged", averaged)
        assert told.status == 0
        assert ("; 4 draws a step" in told.out) == (averaged == 4)
        attacked.append(load_file(tmp_path / "out" / "adversarial.safetensors")["attacked"])
    assert not np.array_equal(*attacked)
    assert alp("attack", weights.defended, *line, "--averaged", 0).status == 1
    assert alp("attack", weights.defended, *line, "--knowledge", "transfer").status == 2


def test_attacks_of_other_libraries_on_a_bank_of_draws(alp, line, weights) -> None:
    pytest.importorskip("foolbox")
    few = ["--images", 4, "--knowledge", "fixed", "--method", "fmn", "--threat.eps", "64/255"]
    told = alp("attack", weights.defended, *line, *few, "--json")
    assert told.status == 0, told.err
    result = json.loads(told.out)
    assert result["protocol"]["attack"]["name"] == "fmn"
    assert result["attacked"]["value"] <= result["clean"]["value"]


def test_an_attack_without_settings(alp, line, weights) -> None:
    pytest.importorskip("pyautoattack")
    steps = line.index("--attack.steps")
    told = alp(
        "attack", weights.classifier, *line[:steps], *line[steps + 2 :], "--method", "autoattack"
    )
    assert told.status == 1
    assert "needs at least 4" in told.err, "three classes are too few for it"


def test_images_of_other_classes_are_refused(alp, weights, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = alp("attack", weights.classifier, "--data", "shapes", "--images", 3, "--out", out)
    assert told.status == 1
    assert "tells 3 classes apart" in told.err
    assert not out.exists()

"""``alp models``."""

from __future__ import annotations

import json
from pathlib import Path

import alp as library
from alp.defences.checkpoint import weights_digest
from alp.training.recipes import RECIPES, SCALES


def test_lists(alp) -> None:
    result = json.loads(alp("models", "--json").out)
    named = {each["name"]: each["parameters"] for each in result["architectures"]}
    assert named["classifier base"] > 11_000_000
    assert {(each["name"], each["scale"]) for each in result["recipes"]} == {
        (name, scale) for name in RECIPES for scale in SCALES
    }
    words = alp("models").out
    assert all(name in words for name in (*RECIPES, *SCALES, "classifier lite"))


def test_a_file(alp, weights) -> None:
    result = json.loads(alp("models", weights.defended, "--json").out)
    model = library.load(weights.defended)
    assert result["kind"] == "defended"
    assert result["draws"] == 20
    assert result["sigma"] == model.purifier.sigma
    assert result["digest"] == weights_digest(model)
    assert result["parameters"] == sum(part.numel() for part in model.parameters())
    assert "sigma" not in json.loads(alp("models", weights.classifier, "--json").out)
    assert "kind        purifier" in alp("models", weights.purifier).out


def test_a_damaged_file(alp, weights, tmp_path: Path) -> None:
    data = bytearray(weights.purifier.read_bytes())
    data[-1] ^= 1
    path = tmp_path / "weights.safetensors"
    path.write_bytes(data)
    told = alp("models", path)
    assert told.status == 1
    assert "damaged" in told.err
    assert not told.out

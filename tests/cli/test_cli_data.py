"""``alp data``."""

from __future__ import annotations

import json
from pathlib import Path

from alp.data import load_data


def test_counts_of_every_split(alp, pictures: Path) -> None:
    result = json.loads(alp("data", pictures, "--json").out)
    assert result["name"] == "tiny"
    for split in ("train", "validation", "test"):
        images, found = load_data(pictures, split), result["splits"][split]
        assert found["images"] == len(images) == sum(found["classes"].values())
        assert found["digest"] == images.digest
        assert list(found["classes"]) == ["dark", "grey", "light"]
        assert found["shape"] == [3, 16, 16]
        assert found["source"] == str(pictures)


def test_one_split_in_words(alp, pictures: Path) -> None:
    told = alp("data", pictures, "--split", "test")
    assert told.status == 0
    assert "16x16 pixels" in told.out
    assert "train" not in told.out
    assert load_data(pictures, "test").digest[:12] in told.out


def test_no_such_data(alp) -> None:
    told = alp("data", "nowhere")
    assert told.status == 1
    assert "'nowhere' is neither a data set nor an existing folder" in told.err


def test_missing_cifar10_says_what_to_do(alp, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALP_DATA", str(tmp_path))
    told = alp("data", "cifar10")
    assert told.status == 1
    assert "ALP_DATA" in told.err

"""``--share`` and ``alp gather``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def line(weights, pictures) -> list[object]:
    given = ["--data", pictures, "--images", 6, "--sigma", 0.05, "--radii", 0]
    return ["certify", weights.classifier, *given, "--budget", 500, "--batch_size", 2]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "records").iterdir()}


def test_shares_end_well_and_are_gathered(alp, line, tmp_path: Path, monkeypatch) -> None:
    whole = alp(*line, "--threads", 1, "--out", tmp_path / "whole", "--json")
    assert whole.status == 0, whole.err
    for share in ("2/2", "1/2"):
        told = alp(*line, "--threads", 1, "--out", tmp_path / "parts", "--share", share)
        assert told.status == 0, told.err
        assert f"share {share} of plain is done" in told.out
        assert f"alp gather {tmp_path / 'parts'}" in told.out
        assert not (tmp_path / "parts" / "records").exists()
    monkeypatch.chdir(tmp_path)
    gathered = alp("gather", "parts", "--json")
    assert gathered.status == 0, gathered.err
    models = [json.loads(each.out)["models"] for each in (whole, gathered)]
    assert models[0] == models[1]
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


def test_the_setting_is_read_and_gather_does_what_is_missing(
    alp, line, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("ALP_SHARE", "1/3")
    told = alp(*line, "--threads", 1, "--out", tmp_path)
    assert "share 1/3" in told.out
    assert "2 are missing" in told.out
    monkeypatch.delenv("ALP_SHARE")
    assert "certified" in alp("gather", tmp_path).out


def test_a_folder_without_shares_is_refused(alp, tmp_path: Path) -> None:
    told = alp("gather", tmp_path)
    assert told.status == 1
    assert "holds no shares.yaml" in told.err
    (tmp_path / "shares.yaml").write_text("command: train\n")
    assert "names the command 'train'" in alp("gather", tmp_path).err


def test_what_is_no_share_is_refused(alp, line, tmp_path: Path) -> None:
    told = alp(*line, "--out", tmp_path, "--share", "5/2")
    assert told.status == 1
    assert "the share is 5/2; give K/N" in told.err

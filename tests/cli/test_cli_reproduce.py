"""``alp reproduce`` and ``alp demo``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from alp.attacks import PGD
from alp.experiments.protocol import Protocol

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def line(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    out = tmp_path_factory.mktemp("hierarchy")
    return ["reproduce", "hierarchy", "--scale", "smoke", "--data", pictures, "--trials", 2,
            "--images", 9, "--draws", 2, "--attack.steps", 2, "--engine.threads", 1,
            "--out", out]  # fmt: skip


def test_table_report_and_repetition(alp, line) -> None:
    first = alp(*line)
    assert first.status == 0
    for name in ("baseline", "ALP standalone", "AT", "A-ALP + AT"):
        assert name in first.out
    assert "2 trials" in first.out
    assert "train purifier-1: 64/64 images" in first.err
    out = Path(str(line[-1]))
    assert str(out / "report.html") in first.out
    assert "A-ALP + AT" in (out / "report.html").read_text()
    before = (out / "hierarchy" / "table.json").read_bytes()
    again = alp(*line, "--json")
    assert again.status == 0
    assert not again.err
    assert (out / "hierarchy" / "table.json").read_bytes() == before
    item = json.loads(again.out)["items"]["hierarchy"]
    assert item["records"] == 8  # four models a trial
    printed, kept = item["table"], json.loads(before)
    assert b"latency" not in before
    assert [row["trials"] for row in kept["rows"]] == [2, 2, 2, 2]
    for row, same in zip(printed["rows"], kept["rows"], strict=True):
        assert row.pop("latency_ms")["predict"] > 0
        assert row == same
        assert not same["published"]  # the paper's numbers are for other data


@pytest.mark.parametrize("change", [["--trials", 1], ["--draws", 3], ["--attack.steps", 3]])
def test_another_protocol_needs_another_folder(alp, line, change) -> None:
    alp(*line)
    told = alp(*line, *change)
    assert told.status == 1
    assert "another folder" in told.err


def test_refused_before_anything_is_trained(alp, line, tmp_path: Path) -> None:
    told = alp(*line[:-1], tmp_path / "new", "--knowledge", "everything")
    assert told.status == 1
    assert "everything" in told.err
    assert not (tmp_path / "new").exists()


def test_shares_are_gathered_into_the_same_records(alp, line, tmp_path: Path) -> None:
    whole, parts = Path(str(line[-1])), tmp_path / "parts"
    alp(*line)
    shutil.copytree(whole / "models", parts / "models")
    shutil.copytree(whole / "hierarchy" / "latency", parts / "hierarchy" / "latency")
    for share in ("2/2", "1/2"):
        told = alp(*line[:-1], parts, "--share", share)
        assert told.status == 0, told.err
        assert f"share {share} of " in told.out
    gathered = alp("gather", parts)
    assert gathered.status == 0, gathered.err
    records = sorted((whole / "hierarchy" / "records").iterdir())
    for path in records:
        assert (parts / "hierarchy" / "records" / path.name).read_bytes() == path.read_bytes()
    assert (parts / "hierarchy" / "table.json").read_bytes() == (
        whole / "hierarchy" / "table.json"
    ).read_bytes()
    later = alp(*line[:-1], tmp_path / "new", "--share", "2/2")
    assert later.status == 0
    assert "waits for models/standard-0, which share 1 trains" in later.out


def test_settings_reach_the_protocol(alp, monkeypatch, tmp_path: Path) -> None:
    seen: list[tuple[tuple[str, ...], Protocol, Path]] = []

    def stub(names: tuple[str, ...], protocol: Protocol, folder: Path, *_, json: bool) -> None:
        seen.append((names, protocol, folder))

    monkeypatch.setattr("alp.cli.reproduce.show_experiments", stub)
    monkeypatch.setattr("alp.cli.demo.show_experiments", stub)
    alp("reproduce", "hierarchy", "--out", tmp_path, "--attack.steps", 3, "--seed", 5)
    alp("demo", "--out", tmp_path / "demo")
    alp("reproduce", "hierarchy", "grids", "--scale", "demo", "--trials", 2, "--images", 500,
        "--out", tmp_path / "demo")  # fmt: skip
    alp("reproduce", "--out", tmp_path / "all")
    alp("reproduce", "sweep", "tsne", "--out", tmp_path / "two")
    assert seen[0] == (("hierarchy",), Protocol(attack=PGD(steps=3), seed=5), tmp_path)
    assert seen[1] == seen[2]
    assert [names for names, *_ in seen[3:]] == [(), ("sweep", "tsne")]


def test_an_unknown_item_names_the_known_ones(alp, tmp_path: Path) -> None:
    told = alp("reproduce", "sweep", "nonsense", "--out", tmp_path)
    assert told.status == 2
    assert "nonsense" in told.err
    assert "tsne" in told.err


def test_items_are_optional_in_the_usage(alp) -> None:
    told = alp("reproduce", "--help")
    assert "alp reproduce [ITEM ...] [options]" in told.out
    assert "(default: )" not in told.out

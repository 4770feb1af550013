"""``alp protocol``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from alp.cli import main
from alp.records import read_all

pytestmark = pytest.mark.slow


def options(weights, pictures: Path, out: Path) -> list[object]:
    chosen = {
        "--data": pictures,
        "--images": 12,
        "--draws": 3,
        "--attack.steps": 2,
        "--device": "cpu",
        "--out": out,
    }
    given = [part for option in chosen.items() for part in option]
    return ["protocol", weights.classifier, weights.defended, *given]


@pytest.fixture
def line(weights, pictures: Path, tmp_path: Path) -> list[object]:
    """A command line with a folder of its own."""
    return options(weights, pictures, tmp_path / "out")


@pytest.fixture(scope="module")
def finished(weights, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """A command line that has been run."""
    line = options(weights, pictures, tmp_path_factory.mktemp("finished") / "out")
    assert main([str(part) for part in line]) == 0
    return line


def test_one_table_with_its_protocol(alp, line) -> None:
    told = alp(*line, "--knowledge", "single", "masked", "--threat.eps", "16/255")
    assert told.status == 0
    words = " ".join(told.out.split())
    for part in (
        "12 of tiny (test)",
        "ε = 16/255",
        "PGD: 2 steps of 4/255",
        "single: The attacker sees",
        "95 % Wilson interval",
        "warning 12 images < 500",
    ):
        assert part in words, part
    for heading in ("clean", "single", "masked", "every level", "PSNR", "sigma", "one draw"):
        assert heading in told.out
    assert "oblivious" not in told.out
    assert "3 draws" in told.out
    assert "evaluate plain: 12/12 images" in told.err


def test_json_records_and_repetition(alp, finished) -> None:
    first = alp(*finished, "--json")
    assert not first.err
    result = json.loads(first.out)
    plain, defended = result["rows"]
    assert (plain["name"], defended["name"]) == ("plain", "defended")
    assert (plain["draws"], defended["draws"]) == (1, 3)
    assert plain["sigma"] is None
    assert defended["sigma"]["value"] > 0
    assert set(defended["robust"]) == {"oblivious", "single", "masked"}
    assert defended["latency_ms"]["draw"] > 0
    records, errors = read_all(Path(str(finished[-1])) / "records")
    assert sorted(record.name for record in records) == ["defended", "plain"]
    assert not errors


def test_a_repetition_gives_the_same_record(alp, finished) -> None:
    """Without the records, but with the latencies: time is all that a repetition does not give."""
    first = alp(*finished, "--json")
    shutil.rmtree(Path(str(finished[-1])) / "records")
    again = alp(*finished, "--json")
    assert "evaluate defended" in again.err
    assert again.out == first.out


@pytest.mark.parametrize(
    "change",
    [["--seed", 1], ["--images", 9], ["--threat.eps", "1/255"], ["--attack.steps", 3],
     ["--draws", 2], ["--knowledge", "single"], ["--method", "bim"]],
    ids=lambda change: change[0],
)  # fmt: skip
def test_records_of_other_terms_are_refused(alp, finished, change) -> None:
    told = alp(*finished, *change)
    assert told.status == 1
    assert "another folder" in told.err


def test_refused_before_anything_is_evaluated(alp, line, weights, tmp_path: Path) -> None:
    told = alp(*line[:1], weights.classifier, weights.purifier, *line[3:])
    assert told.status == 1
    assert "purifier alone" in told.err
    assert not (tmp_path / "out").exists()


def test_two_files_of_one_name(alp, line, weights, tmp_path: Path) -> None:
    copy = tmp_path / "plain" / "weights.safetensors"
    copy.parent.mkdir()
    shutil.copy(weights.classifier, copy)
    told = alp(*line[:1], weights.classifier, copy, *line[3:])
    assert told.status == 1
    assert "both called 'plain'" in told.err


def test_missing_weights(alp, line) -> None:
    told = alp(*line[:1], "nowhere.safetensors", *line[3:])
    assert told.status == 1
    assert "nowhere.safetensors" in told.err


def test_unknown_device(alp, line) -> None:
    told = alp(*line, "--device", "abacus")
    assert told.status == 1
    assert "no device 'abacus'" in told.err

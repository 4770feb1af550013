"""``alp evaluate``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from alp.cli import main
from alp.records import read_all

pytestmark = pytest.mark.slow


def options(weights, pictures: Path, out: Path) -> list[object]:
    given = ["--data", pictures, "--images", 10, "--draws", 2, "--device", "cpu", "--out", out]
    return ["evaluate", weights.classifier, weights.defended, *given]


@pytest.fixture(scope="module")
def finished(weights, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """A command line that has been run."""
    line = options(weights, pictures, tmp_path_factory.mktemp("verdicts") / "out")
    assert main([str(part) for part in line]) == 0
    return line


def test_one_table_with_its_protocol_and_the_verdicts(alp, finished) -> None:
    told = alp(*finished)
    assert told.status == 0
    words = " ".join(told.out.split())
    for part in (
        "10 of tiny (test), seed 0",
        "ε = 8/255",
        "suite quick",
        "eot: The attacker averages exact gradients",
        "; 6 draws a call",
        "on what is left",
        "95 % Wilson interval",
        "verdict plain:",
        "verdict defended:",
        "null: at eps 1e-07",
    ):
        assert part in words, part
    for heading in ("clean", "bpda", "fixed", "eot", "score", "worst case", "right every time"):
        assert heading in told.out
    assert not told.err, "a finished record is read"


def test_json(alp, finished) -> None:
    result = json.loads(alp(*finished, "--json").out)
    plain, defended = result["models"]
    assert (plain["name"], defended["name"]) == ("plain", "defended")
    assert (plain["draws"], defended["draws"]) == (1, 2)
    assert set(plain["levels"]) == {"score", "single"}
    assert set(defended["levels"]) == {
        "oblivious", "score", "masked", "single", "bpda", "fixed", "eot",
    }  # fmt: skip
    assert defended["worst"]["value"] <= min(level["high"] for level in defended["levels"].values())
    assert {check["check"] for check in defended["checks"]} >= {"null", "steps", "black-box"}
    records, errors = read_all(Path(result["records"]))
    assert sorted(record.name for record in records) == ["defended", "plain"]
    assert not errors


def test_attackers_who_only_ask(alp, weights, pictures: Path, tmp_path: Path) -> None:
    line = options(weights, pictures, tmp_path)
    line += ["--suite", "queries", "--queries", 24, "--surrogates", weights.classifier]
    told = alp(*line)
    assert told.status == 0, told.err
    words = " ".join(told.out.split())
    for part in (
        "up to 24 answers of the model an image",
        "labels: The attacker sees the class that the deployed model predicts",
        "square (scores; k = 1, 2, 4, 8): SQUARE: margin loss",
        "rays from plain (labels; k = 1, 2, 4, 8): RAYS",
        "verdict defended: after 24 queries of the best attacker",
        "difference defended keeps",
    ):
        assert part in words, part
    plain, defended = json.loads(alp(*line, "--json").out)["models"]
    assert [row["queries"] for row in plain["curve"]] == [0, 10, 24]
    assert list(plain["attackers"]["rays"]) == ["1"]
    assert list(defended["attackers"]["rays"]) == ["1", "2", "4", "8"]
    changed = alp(*line, "--queries", 30)
    assert changed.status == 1
    assert "queries" in changed.err
    wrong = alp(*options(weights, pictures, tmp_path), "--queries", 24)
    assert "a number for the suite 'queries', and the suite is 'quick'" in wrong.err


def test_two_processes_make_the_same_record(alp, weights, pictures, tmp_path: Path) -> None:
    """More images than one batch holds, so that both have something to do."""
    made = []
    for processes in (1, 2):
        line = options(weights, pictures, tmp_path / str(processes))
        line = [*line[:2], *line[3:], "--split", "train", "--images", 70, "--processes", processes]
        command = [sys.executable, "-m", "alp", *map(str, line)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr
        made += read_all(tmp_path / str(processes) / "records")[0]
    one, two = made
    assert len(one) == 70
    assert one.same(two)


@pytest.mark.parametrize(
    "change", [["--seed", 1], ["--images", 9], ["--threat.eps", "1/255"], ["--draws", 3]],
    ids=lambda change: change[0],
)  # fmt: skip
def test_records_of_other_terms_are_refused(alp, finished, change) -> None:
    told = alp(*finished, *change)
    assert told.status == 1
    assert "another folder" in told.err


def test_a_surrogate_has_a_level_of_its_own(alp, weights, pictures, tmp_path: Path) -> None:
    line = options(weights, pictures, tmp_path / "out")
    told = alp(*line[:1], *line[2:], "--surrogates", weights.classifier, "--json")
    assert told.status == 0
    assert "evaluate defended: about" in told.err
    (defended,) = json.loads(told.out)["models"]
    assert "transfer" in defended["levels"]
    assert "transfer pgd-20 plain" in defended["entries"]
    assert not (tmp_path / "out" / "parts").exists() or not any(
        (tmp_path / "out" / "parts").iterdir()
    )


def test_refused_before_anything_is_evaluated(alp, weights, pictures, tmp_path: Path) -> None:
    line = options(weights, pictures, tmp_path / "out")
    told = alp(*line[:1], weights.purifier, *line[3:])
    assert told.status == 1
    assert "purifier alone" in told.err
    copy = tmp_path / "plain" / "weights.safetensors"
    copy.parent.mkdir()
    shutil.copy(weights.classifier, copy)
    told = alp(*line[:2], copy, *line[3:])
    assert "both called 'plain'" in told.err
    assert alp(*line, "--suite", "thorough").status == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--sequential"], "sequential consensus: looks after 4 draws"),
        (
            ["--backend", "eager", "--precision", "bfloat16", "--sequential"],
            "backend eager, bfloat16",
        ),
    ],
    ids=["sequential", "engine"],
)
def test_how_a_model_is_deployed_is_judged_and_told(
    alp, weights, pictures, tmp_path, given, words
) -> None:
    line = options(weights, pictures, tmp_path / "out")
    line.remove(weights.classifier)
    line[line.index("--draws") + 1] = 6
    told = alp(*line, *given)
    assert told.status == 0
    assert words in told.out
    (defended,), _ = read_all(tmp_path / "out" / "records")
    assert words in defended.header["extra"]["deployed"]
    refused = alp(*line)
    assert refused.status == 1
    assert "another folder" in refused.err


def test_a_precision_without_an_engine_is_refused(alp, weights, pictures, tmp_path) -> None:
    told = alp(*options(weights, pictures, tmp_path / "out"), "--precision", "int8")
    assert told.status in (1, 2)
    assert "give a --backend too" in told.err

"""``alp sweep`` and ``alp evaluate --plan``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def line(pictures) -> list[object]:
    given = ["--scale", "smoke", "--data", pictures, "--images", 4]
    return ["sweep", "standard", *given, "--threads", 1]


def test_a_grid_of_trainings_and_evaluations(alp, line, tmp_path: Path) -> None:
    grid = ["--grid", "seed=0,1", "stage.optim.epochs=1", "evaluate.batch_size=2,4"]
    first = alp(*line, *grid, "--out", tmp_path, "--json")
    assert first.status == 0, first.err
    rows = json.loads(first.out)["rows"]
    names = [f"seed={s} evaluate.batch_size={b}" for s in (0, 1) for b in (2, 4)]
    assert [row["cell"] for row in rows] == names
    assert all(0 <= row["worst"]["value"] <= row["clean"]["value"] for row in rows)
    assert (tmp_path / "seed=1" / "weights.safetensors").exists()
    log = (tmp_path / "seed=0" / "log.txt").read_text()
    assert "weights:" in log
    assert "verdict" in log
    kept = (tmp_path / "sweep.json").read_bytes()
    weights = tmp_path / "seed=0" / "weights.safetensors"
    before = weights.stat().st_mtime_ns
    table = alp(*line, *grid, "--out", tmp_path)
    assert "seed=1 evaluate.batch_size=4" in table.out
    assert (tmp_path / "sweep.json").read_bytes() == kept
    assert weights.stat().st_mtime_ns == before, "nothing is trained again"


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (["seed"], "give NAME=VALUE"),
        (["seed=0", "seed=1"], "each name once"),
        (["speed=1"], "there is no option --speed"),
        (["evaluate.draws=x"], "--draws"),
    ],
)
def test_a_grid_that_is_none_is_refused_before_anything(alp, line, tmp_path, grid, message) -> None:
    told = alp(*line, "--grid", *grid, "--out", tmp_path / "out")
    assert told.status != 0
    assert message in told.err
    assert not (tmp_path / "out").exists()


def test_a_cell_that_fails_is_a_row(alp, line, tmp_path: Path) -> None:
    grid = ["--grid", "seed=0", "stage.optim.batch_size=100000,8", "stage.optim.epochs=1"]
    told = alp(*line, *grid, "--out", tmp_path, "--json")
    assert told.status == 0, told.err
    failed, done = json.loads(told.out)["rows"]
    assert "batch" in failed["error"]
    assert "worst" in done


def test_a_plan_says_what_it_takes_and_does_nothing(alp, weights, pictures, tmp_path) -> None:
    line = ["evaluate", weights.defended, "--data", pictures, "--images", 4, "--out", tmp_path]
    told = alp(*line, "--plan")
    assert told.status == 0, told.err
    for words in ("core-hours", "MiB a worker", "by workers of"):
        assert words in told.out
    (plan,) = json.loads(alp(*line, "--plan", "--json").out)["plans"].values()
    assert plan["units"] > 5
    assert plan["core_hours"] > 0
    assert plan["wall_seconds"]["1"] > plan["wall_seconds"]["64"] > 0
    assert not (tmp_path / "records").exists()

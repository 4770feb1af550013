"""The entry point: exit statuses, one line for an error, no torch before it is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import alp.cli.data
from alp.cli import COMMANDS, main, train
from alp.cli.data import Settings
from alp.errors import DataError
from alp.version import __version__


def test_overview_names_every_command(alp) -> None:
    told = alp("--help")
    assert told.status == 0
    for name in COMMANDS:
        assert name in told.out
        assert COMMANDS.summary(name) in told.out


def test_without_a_command_the_status_is_that_of_a_wrong_command_line(alp) -> None:
    assert alp().status == 2


def test_version(alp) -> None:
    assert alp("--version").out == f"alp {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["data"],
        ["data", "shapes", "--split", "nonsense"],
        ["data", "shapes", "--unknown", "1"],
        ["train"],
        ["train", "nonsense"],
        ["train", "purifier"],
        ["train", "purifier", "--out", "x", "--scale", "nonsense"],
        ["train", "purifier", "--out", "x", "--stage.optim.epochs", "many"],
        ["train", "purifier", "--out", "x", "--stage.optim.epochs", "8/0"],
        ["train", "purifier", "--out", "x", "--stage.classifier.size", "tiny"],
        ["train", "purifier", "--out", "x", "--config", "missing.yaml"],
        ["protocol", "w", "--out", "x", "--method", "nfgsm"],
        ["protocol", "w", "--out", "x", "--knowledge", "everything"],
        ["protocol", "w", "--out", "x", "--attack.ste", "3"],
        ["reproduce", "nonsense", "--out", "x"],
    ],
    ids=" ".join,
)
def test_wrong_command_lines(alp, arguments: list[str]) -> None:
    told = alp(*arguments)
    assert told.status == 2
    assert told.err.startswith("alp: error: ")
    assert told.err.count("\n") == 1
    assert not told.out


def test_refused_values_name_field_value_and_repair(alp) -> None:
    told = alp("train", "purifier", "--out", "x", "--stage.optim.epochs", "-1")
    assert told.status == 1
    assert told.err == "alp: error: OptimConfig.epochs is -1.0; give a finite number above zero\n"


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (DataError("the data is gone; get it again"), 1, "alp: error: the data is gone"),
        (PermissionError(13, "Permission denied", "/root/x"), 1, "alp: error: [Errno 13]"),
        (MemoryError(), 1, "alp: error: MemoryError"),
        (KeyboardInterrupt(), 130, "alp: interrupted\n"),
    ],
)
def test_errors_of_a_command(alp, monkeypatch, error: BaseException, status: int, words: str):
    def broken(settings: Settings) -> None:
        raise error

    monkeypatch.setattr("alp.cli.COMMANDS", {"data": broken})
    told = alp("data", "shapes")
    assert told.status == status
    assert told.err.startswith(words)
    assert "Traceback" not in told.err


def test_bugs_are_not_hidden(monkeypatch) -> None:
    def broken(settings: Settings) -> None:
        raise AssertionError("ours")

    monkeypatch.setattr("alp.cli.COMMANDS", {"data": broken})
    with pytest.raises(AssertionError, match="ours"):
        main(["data", "shapes"])


def test_an_interrupted_training_says_how_to_resume(alp, monkeypatch, tmp_path: Path) -> None:
    def interrupted(settings: train.Settings) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("alp.cli.COMMANDS", {"train": interrupted})
    told = alp("train", "purifier", "--out", tmp_path / "a folder")
    assert told.status == 130
    assert f"alp train purifier --out '{tmp_path}/a folder'" in told.err


def test_warnings_are_lines_on_stderr(alp, monkeypatch) -> None:
    def warning(settings: Settings) -> None:
        warnings.warn("the cache is full", stacklevel=1)

    monkeypatch.setattr("alp.cli.COMMANDS", {"data": warning})
    assert alp("data", "shapes").err == "alp: warning: the cache is full\n"


@pytest.mark.parametrize("rank", ["RANK", "LOCAL_RANK", "SLURM_PROCID"])
def test_other_processes_are_silent(alp, monkeypatch, pictures: Path, rank: str) -> None:
    monkeypatch.setenv(rank, "1")
    told = alp("data", pictures)
    assert told.status == 0
    assert not told.out + told.err


def test_help_and_usage_errors_do_not_import_torch() -> None:
    """Torch takes seconds; measured times stand in the README, not in a test."""
    lines = [[name, "--help"] for name in COMMANDS]
    lines += [["train", "joint", "--help"], ["train", "nonsense"], ["--version"]]
    code = (
        "import json, sys; from alp.cli import main\n"
        "for line in json.loads(sys.argv[1]): main(line)\n"
        "sys.exit('torch' in sys.modules or 'pyarrow' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(alp.cli.data.__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(lines)], env=environment, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()


def test_as_a_module(pictures: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(alp.cli.data.__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-m", "alp", "--version"], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, f"alp {__version__}\n")

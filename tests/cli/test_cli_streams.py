"""Streams that are closed, full, left by their reader or poor in letters; names that steer a
terminal; signals."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import alp.cli.data
from alp.cli.console import note, printable, say, table

CODE = """
import sys, alp.cli
from alp.cli.console import note, progress, say, say_json
from alp.cli.data import Settings

def run(settings: Settings) -> None:
    with progress() as bar:
        for done in range(3):
            say("before " + "text " * 20000)
            note("a note")
            bar("work", done, 3)
    say_json({"name": settings.name})
    open(settings.name, "w").write("done")

alp.cli.COMMANDS = {"data": run}
sys.exit(alp.cli.main())
"""


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line in which ALP stands for a command that prints much, then writes its argument."""
    where = {"PYTHONPATH": str(Path(alp.cli.data.__file__).parents[2]), "CODE": CODE}
    line = line.replace("ALP", f'"{sys.executable}" -c "$CODE" data')
    return subprocess.run(
        ["bash", "-c", line], env={**os.environ, **where, **environment}, capture_output=True
    )


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("ALP {} >&-", 0),
        ("ALP {} 2>&-", 0),
        ("ALP {} <&- >&- 2>&-", 0),
        ("set -o pipefail; ALP {} | true", 0),
        ("set -o pipefail; ALP {} 2>&1 >/dev/null | true", 0),
        ("ALP {} >/dev/full", 1),
        ("ALP {} 2>/dev/full", 0),
    ],
)
def test_work_is_done_whatever_happens_to_what_is_printed(
    tmp_path: Path, line: str, status: int
) -> None:
    done = shell(line.format(tmp_path / "out"))
    assert done.returncode == status
    assert (tmp_path / "out").read_text() == "done"
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr
    if status:
        assert b"alp: error: results could not be printed: [Errno 28]" in done.stderr


@pytest.mark.parametrize("option", [">&-", "2>&-"])
def test_a_file_never_takes_the_place_of_a_closed_stream(tmp_path: Path, option: str) -> None:
    code = "import sys, alp.cli.streams as s\nwith s.lasting_streams(): open(sys.argv[1], 'w')"
    code += ".fileno() > 2 or sys.exit(3)"
    environment = os.environ | {"PYTHONPATH": str(Path(alp.cli.data.__file__).parents[2])}
    line = f'"{sys.executable}" -c "$0" {tmp_path}/file {option}'
    assert subprocess.run(["bash", "-c", line, code], env=environment).returncode == 0


@pytest.mark.parametrize("name", ["\u00e9\u202f\u4e2d", os.fsdecode(b"\xff")])
@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_names_that_cannot_be_printed(tmp_path: Path, name: str, encoding: str) -> None:
    done = shell(f"ALP '{tmp_path}'/$NAME", NAME=name, PYTHONIOENCODING=encoding, LC_ALL="C")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / name).exists()


@given(st.text())
def test_what_is_printable(text: str) -> None:
    shown = printable(text)
    assert all(each in "\t\n" or (each >= " " and not "\x7f" <= each <= "\x9f") for each in shown)
    shown.encode()
    assert printable(shown) == shown


def test_letters_stay_as_they_are() -> None:
    assert (
        printable("25.3\u202f% \u00b1 \u4e2d\u6587\tL\u221e\n")
        == "25.3\u202f% \u00b1 \u4e2d\u6587\tL\u221e\n"
    )
    assert printable("\x1b[31m\x9b\u202e\udcff") == "\\x1b[31m\\x9b\\u202e\\udcff"


def test_references_are_no_emoji(capsys) -> None:
    note("net.py:one: failed")
    say("net.py:heart: failed")
    told = capsys.readouterr()
    assert (told.err, told.out) == ("net.py:one: failed\n", "net.py:heart: failed\n")


def test_names_in_results_do_not_steer_the_terminal(alp, tmp_path: Path, capsys) -> None:
    told = alp("data", tmp_path / "\x1b]0;mine\x07")
    assert told.status == 1
    assert "\x1b" not in told.err
    say("\x1b[2J", table([("name",), ("\x1b[2J[bold]",)]))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert shown.count("\\x1b[2J") == 2
    assert "[bold]" in shown


TERMINATED = """
import signal, sys
import alp.cli
from alp.cli import train

def terminated(settings: train.Settings):
    signal.raise_signal(signal.SIGTERM)

alp.cli.COMMANDS = {"train": terminated}
"""

NOBODY_HANDLES = """
status = alp.cli.main(["train", "purifier", "--out", sys.argv[1]])
print(status, signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
"""

SOMEBODY_HANDLES = """
seen = []
signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
status = alp.cli.main(["train", "purifier", "--out", sys.argv[1]])
print(status, seen)
"""


def ended(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a process of its own says, whose signals no library of another test handles."""
    line = [sys.executable, "-c", TERMINATED + code, str(folder)]
    return subprocess.run(line, capture_output=True, text=True, check=True)


def test_sigterm_ends_as_an_interrupt(tmp_path: Path) -> None:
    told = ended(NOBODY_HANDLES, tmp_path / "out")
    assert told.stdout == "130 True\n"
    assert "the same command goes on from what was last saved:\n  alp train purifier" in told.stderr


def test_a_handler_of_sigterm_is_left_alone(tmp_path: Path) -> None:
    assert ended(SOMEBODY_HANDLES, tmp_path / "out").stdout == "0 [1]\n"

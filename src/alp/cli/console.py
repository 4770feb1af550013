"""What the user sees: results on stdout, progress and notes on stderr."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from alp.executors import is_first_process

WIDE = 200
"""Columns where the output is no terminal: a table in a file is not cut to a screen."""

COLUMN = 13
"""Characters that a column of a ruled table takes, about."""

PAUSE = 20.0
"""Seconds between two lines of progress where there is no terminal to draw a bar on."""


_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str, also: str = "") -> str:
    """``text`` with what steers a terminal, is no character, or is ``also`` unwanted, as escapes:
    names of files and classes may hold anything."""
    shown = _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)
    return "".join(ascii(each)[1:-1] if each in also else each for each in shown)


def say(*parts: str | Table, end: str = "\n") -> None:
    """Print results to stdout: texts, each followed by ``end``, and tables as they fit."""
    if not is_first_process():
        return
    for part in parts:
        if isinstance(part, str):
            print(printable(part), end=end)
        else:
            _console(sys.stdout).print(part)


def say_json(value: Any) -> None:
    """Print a result for programs to stdout."""
    if is_first_process():
        print(json.dumps(value, indent=2))


def show(as_json: bool, value: Any, *parts: str | Table) -> None:
    """Print a result, as JSON or as texts and tables."""
    if as_json:
        say_json(value)
    else:
        say(*parts)


def table(
    rows: Iterable[Sequence[str]], *, left: Collection[int] = (0,), ruled: bool = False
) -> Table:
    """A table of ``rows``, the first of which are its headings; columns are aligned right but for
    those in ``left``. With ``ruled`` there are lines between the rows, and rows become columns
    where the terminal is too narrow."""
    lines = [[Text(printable(cell)) for cell in row] for row in rows]
    if ruled and len(lines) < len(lines[0]) and len(lines[0]) * COLUMN > width():
        lines = [list(line) for line in zip(*lines, strict=True)]
    made = Table(show_lines=True) if ruled else Table(box=None, pad_edge=False)
    for number, heading in enumerate(lines[0]):
        made.add_column(heading, justify="left" if number in left else "right")
    for line in lines[1:]:
        made.add_row(*line)
    return made


def width() -> int:
    """Columns of stdout."""
    return _console(sys.stdout).width


def warn(text: str) -> None:
    """Print a warning to stderr."""
    note(f"alp: warning: {text}")


def note(text: str, everywhere: bool = False) -> None:
    """Print a line to stderr, above a progress bar where there is one; ``everywhere``: from any
    of several processes."""
    if everywhere or is_first_process():
        console = _bars[-1].console if _bars else _console(sys.stderr)
        console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


_bars: list[Progress] = []


class Display:
    """The progress of one activity after another: a bar each on a terminal, else lines."""

    def __init__(self, bars: Progress, unit: str) -> None:
        self._bars, self._unit = bars, unit
        self._what = ""
        self._task = TaskID(0)
        self._start = self._first = self._spoken = 0.0

    def __call__(self, what: str, done: int, total: int, detail: str = "", each: int = 1) -> None:
        """Show that ``done`` of ``total`` are finished; ``each`` is how many images one counts."""
        now = time.monotonic()
        if what != self._what:
            self._what, self._start, self._first = what, now, done
            self._task = self._bars.add_task(
                escape(printable(what)), total=total, completed=done, rate="", detail=""
            )
            self._spoken = now
        speed = each * (done - self._first) / max(now - self._start, 1e-9)
        counted = done > self._first and self._unit == "images"
        rate = f"{speed:,.0f} images/s" if counted else ""
        self._bars.update(self._task, completed=done, total=total, detail=detail, rate=rate)
        if not self._bars.console.is_terminal and (done == total or now - self._spoken > PAUSE):
            self._spoken = now
            parts = [f"{what}: {done:,}/{total:,} {self._unit}", rate, detail]
            note(", ".join(part for part in parts if part))


@contextmanager
def progress(unit: str = "images") -> Iterator[Display]:
    """A display of progress on stderr; silent in every process but the first."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} " + unit),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[detail]}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )
    console = _console(sys.stderr)
    visible = is_first_process() and console.is_terminal
    bars = Progress(
        *columns,
        console=console,
        disable=not visible,
        expand=True,
        redirect_stdout=sys.stdout.isatty(),  # results that go elsewhere are left alone
    )
    _bars.append(bars)
    try:
        with bars:
            yield Display(bars, unit)
    finally:
        _bars.remove(bars)


def _console(stream: Any) -> Console:
    # Made for each use: a test, or a caller of main, may have replaced the stream.
    # Of net.py:one:two, :one: is no emoji.
    return Console(file=stream, width=None if stream.isatty() else WIDE, emoji=False)


def quieten_engine() -> None:
    """Leave the training engine's announcements out, which would break the progress bar."""
    if find_spec("lightning_fabric"):
        import lightning_fabric  # it sets the level when it is imported

        logging.getLogger(lightning_fabric.__name__).setLevel(logging.WARNING)

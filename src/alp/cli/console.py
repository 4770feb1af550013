"""What the user sees: results on stdout, progress and notes on stderr."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from alp.executors import is_first_process

WIDE = 200
"""Columns where the output is no terminal: a table in a file is not cut to a screen."""

PAUSE = 20.0
"""Seconds between two lines of progress where there is no terminal to draw a bar on."""


def say(*parts: str | Table, end: str = "\n") -> None:
    """Print results to stdout: text as it is, each followed by ``end``, tables as they fit."""
    if not is_first_process():
        return
    for part in parts:
        if isinstance(part, str):
            print(part, end=end, flush=True)
        else:
            _console(sys.stdout).print(part)


def width() -> int:
    """Columns of stdout."""
    return _console(sys.stdout).width


def say_json(value: Any) -> None:
    """Print a result for programs to stdout."""
    if is_first_process():
        print(json.dumps(value, indent=2, ensure_ascii=False))


def note(text: str, everywhere: bool = False) -> None:
    """Print a line to stderr, above a progress bar where there is one; ``everywhere``: from any
    of several processes."""
    if everywhere or is_first_process():
        console = _bars[-1].console if _bars else _console(sys.stderr)
        console.print(text, markup=False, highlight=False, soft_wrap=True)


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
                escape(what), total=total, completed=done, rate="", detail=""
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
    return Console(file=stream, width=None if stream.isatty() else WIDE)


def quieten_engine() -> None:
    """Leave the training engine's announcements out, which would break the progress bar."""
    if find_spec("lightning_fabric"):
        import lightning_fabric  # it sets the level when it is imported

        logging.getLogger(lightning_fabric.__name__).setLevel(logging.WARNING)

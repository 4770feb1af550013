"""A progress bar on a terminal, where nobody gave a display of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Show = Callable[[str, float, float], object]
"""Called with (what is being done, how much is done, how much there is)."""


@contextmanager
def on_terminal(show: Show | None) -> Iterator[Show]:
    """``show``, or without one a bar on stderr where that is a terminal, and silence elsewhere."""
    if show is not None:
        yield show
        return
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True, emoji=False), transient=True) as bars:
        task = bars.add_task("", total=None)
        yield lambda what, done, total: bars.update(
            task, description=what, completed=done, total=total
        )

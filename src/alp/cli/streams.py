"""Standard streams that may be closed, lose their reader, or lack letters; signals that end."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Lasting:
    """A stream for text whose failures stop nothing."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.error: OSError | None = None
        """Why text was lost, if some was: not where its reader left, who wants no more."""
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        """Write ``text``, or what of it can be written."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.error = error
            # What is still in its buffer has to go somewhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def lasting_streams() -> Iterator[Lasting]:
    """Let stdout and stderr outlast their readers; gives stdout."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The next file that is opened would have its number, and get what is printed.
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(
                sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "r" if not number else "w")
            )
    before = sys.stdout, sys.stderr
    lasting = Lasting(sys.stdout)
    sys.stdout, sys.stderr = lasting, Lasting(sys.stderr)  # type: ignore[assignment]
    try:
        yield lasting
    finally:
        sys.stdout, sys.stderr = before


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM, where nobody else handles it, end as Ctrl-C does."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

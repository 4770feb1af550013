"""The command ``alp``.

A command is a function of its settings, in a module of this package:

    @COMMANDS.register("data", order=0, summary="describe a data set")
    def run(settings: Settings) -> None: ...

Exit status: 0 done; 1 an error, in one line on stderr; 2 a wrong command line; 130 interrupted.
Results go to stdout, progress and warnings to stderr. Nothing here imports torch before a command
runs, so that ``--help`` is fast.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
import typing
import warnings
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from alp.cli.settings import UsageError, near, parse
from alp.cli.streams import lasting_streams, terminated_as_interrupted
from alp.errors import AlpError
from alp.files import require_writable
from alp.registry import Registry
from alp.version import __version__

COMMANDS: Registry[Callable[[Any], None]] = Registry("COMMANDS", "alp.cli", "alp.commands")
"""Name to command, in the order of the overview."""

GRACE = 3.0
"""Seconds that the first of several processes has to say that it was interrupted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``alp`` with ``arguments``, by default the process's; returns the exit status."""
    # Before torch is imported: waiting threads that spin slow a shared machine down.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Its C++ warnings would break progress bars; one of them advises what costs resumed bits.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    given = list(sys.argv[1:] if arguments is None else arguments)
    with lasting_streams() as out, warnings.catch_warnings():
        warnings.showwarning = _show_warning  # type: ignore[assignment]
        status = _run(given)
        if out.error is not None:
            status = _fail(f"results could not be printed: {out.error}", status or 1)
    return status


def _run(given: list[str]) -> int:
    try:
        if given[:1] == ["--version"]:
            print(f"alp {__version__}")
        elif given[:1] in ([], ["-h"], ["--help"]):
            print(_overview())
            return 0 if given else 2
        elif given[0] in COMMANDS:
            return _execute(COMMANDS[given[0]], settings_of(*given), given)
        else:
            raise UsageError(
                f"unknown command {given[0]!r}{near(given[0], COMMANDS)} "
                f"(commands: {', '.join(COMMANDS)})"
            )
    except SystemExit as stop:  # --help and --print_config
        return stop.code if isinstance(stop.code, int) else 0
    except UsageError as error:
        return _fail(str(error), 2)
    except (AlpError, OSError, MemoryError) as error:
        return _fail(str(error) or type(error).__name__, 1)
    except RuntimeError as error:
        if _is_first() or not re.search("onnection .*closed", str(error)):
            raise
        return 1  # the first process has ended, and said why
    return 0


def settings_of(command: str, *arguments: str) -> Any:
    """The settings of a command from its arguments; raises as :func:`alp.cli.settings.parse`."""
    kind = typing.get_type_hints(COMMANDS[command])["settings"]
    return parse(command, kind, list(arguments))


def _execute(run: Callable[[Any], None], settings: Any, given: list[str]) -> int:
    places = [each for each in fields(settings) if "folder" in each.metadata]
    try:
        with terminated_as_interrupted():
            for each in places:
                require_writable(getattr(settings, each.name))
            run(settings)
    except KeyboardInterrupt:
        if not _is_first():
            # The engine kills the first process once another has ended: let it speak before.
            time.sleep(GRACE)
        if not any(each.metadata["folder"] == "resumed" for each in places):
            return _fail("interrupted", 130)
        command = shlex.join(["alp", *given])
        return _fail(
            f"interrupted; the same command goes on from what was last saved:\n  {command}", 130
        )
    return 0


def _overview() -> str:
    lines = [f"  {name:<11}{COMMANDS.summary(name)}" for name in COMMANDS]
    return "\n".join(
        [
            "usage: alp COMMAND [options]",
            "",
            "Stochastic latent purification in front of a classifier.",
            "",
            "commands:",
            *lines,
            "",
            "options:",
            "  --help     after a command, explains its options",
            "  --version  prints the version",
        ]
    )


def _is_first() -> bool:
    from alp.executors import is_first_process

    return is_first_process()


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    from alp.cli.console import warn

    warn(str(message))


def _fail(message: str, status: int) -> int:
    from alp.cli.console import note

    # An error of another process may be its own; that it was interrupted goes without saying.
    note(f"alp: error: {message}" if status != 130 else f"alp: {message}", status != 130)
    return status

"""The command ``alp``.

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
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from alp.cli.settings import UsageError
from alp.errors import AlpError
from alp.version import __version__

COMMANDS: dict[str, str] = {
    "data": "describe a data set: sizes, classes, digests",
    "train": "train a purifier, a classifier or both, by a named recipe",
    "evaluate": "attack trained models at every level of knowledge, and check the attacks",
    "protocol": "measure trained models under one attack, as the source paper does",
    "attack": "attack images and write pictures of what happens",
    "purify": "purify pictures",
    "export": "write a defended classifier as ONNX files that run without torch",
    "bench": "time a model in every backend, and other defences beside it",
    "reproduce": "run the experiments of the paper, all or some",
    "report": "make one page of every record in a folder",
    "models": "list packaged models, architectures and recipes, or describe a model",
    "package": "make a package of weights from trainings and their evaluation",
    "demo": "the whole chain on embedded data, in minutes",
}
"""Command to summary; the module of that name in this package has its ``Settings`` and ``run``."""

RESUMABLE = ("train", "evaluate", "protocol", "reproduce", "demo")
"""Commands that go on where they were interrupted."""

GRACE = 3.0
"""Seconds that the first of several processes has to say that it was interrupted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``alp`` with ``arguments``, by default the process's; returns the exit status."""
    # Before torch is imported: waiting threads that spin slow a shared machine down.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning  # type: ignore[assignment]
            return _dispatch(given)
    except SystemExit as stop:  # --help and --print_config
        return stop.code if isinstance(stop.code, int) else 0
    except UsageError as error:
        return _fail(str(error), 2)
    except BrokenPipeError:  # the reader of our output has gone; nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (AlpError, OSError, MemoryError) as error:
        return _fail(str(error) or type(error).__name__, 1)
    except RuntimeError as error:
        if _first() or not re.search("onnection .*closed", str(error)):
            raise
        return 1  # the first process has ended, and said why
    except KeyboardInterrupt:
        if not _first():
            # The engine kills the first process once another has ended: let it speak before.
            time.sleep(GRACE)
        if not set(given[:1]) & set(RESUMABLE):
            return _fail("interrupted", 130)
        command = shlex.join(["alp", *given])
        return _fail(f"interrupted; the same command goes on from here:\n  {command}", 130)


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"alp {__version__}")
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        raise UsageError(f"unknown command {name!r}; choose one of: {', '.join(COMMANDS)}")
    from alp.cli.settings import parse

    command: Any = import_module(f"alp.cli.{name}")
    command.run(parse(name, command.Settings, rest))
    return 0


def _overview() -> str:
    lines = [f"  {name:<11}{summary}" for name, summary in COMMANDS.items()]
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


def _first() -> bool:
    from alp.executors import is_first_process

    return is_first_process()


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    from alp.cli.console import note

    note(f"alp: warning: {message}")


def _fail(message: str, status: int) -> int:
    from alp.cli.console import note

    # An error of another process may be its own; that it was interrupted goes without saying.
    note(f"alp: error: {message}" if status != 130 else f"alp: {message}", status != 130)
    return status

"""Experiment trackers that a training can report its scalars to, by name. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alp.errors import AlpError, choose
from alp.executors import is_first_process

if TYPE_CHECKING:
    from lightning_fabric.loggers.logger import Logger

TRACKERS = {
    "csv": "lightning_fabric",
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "mlflow": "mlflow",
    "trackio": "trackio",
}
"""Name to the module that it needs."""


def require_trackers(names: Sequence[str]) -> None:
    """Look whether trackers can be used, before any work.

    Raises:
        UnknownNameError: there is no such tracker.
        AlpError: one is not installed.
    """
    for name in names:
        module = choose(TRACKERS, name, "tracker")
        if find_spec(module) is None:
            raise AlpError(
                f'the tracker {name} needs {module}, which is not installed: pip install "{module}"'
            )


def open_trackers(
    names: Sequence[str], folder: Path, run: str, settings: Mapping[str, Any]
) -> list[Logger]:
    """The loggers of the named trackers in the first process, none in the others.

    What is kept on this machine lies in ``folder/tracked/NAME``. A resumed training is a new
    version or run beside the interrupted one.

    Args:
        run: the name of the training.
        settings: its settings, which trackers keep beside the scalars.

    Raises:
        AlpError: a tracker cannot start.
    """
    if not names or not is_first_process():
        return []
    from alp.training import loggers

    opened: list[Logger] = []
    for name in dict.fromkeys(names):
        place = folder / "tracked" / name
        try:
            opened.append(loggers.OPEN[name](place, run, dict(settings)))
        except Exception as error:  # of other people's libraries and servers
            reason = "".join(str(error).strip().splitlines()[:1])[:300]
            raise AlpError(
                f"the tracker {name} could not start ({type(error).__name__}: {reason}); repair "
                "it, or leave it out"
            ) from error
    return opened

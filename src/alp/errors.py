"""The exception tree. Every error says what was wrong, the value, and the repair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


class AlpError(Exception):
    """Base of every error that alp raises on bad input."""


class ConfigError(AlpError, ValueError):
    """A setting has a value that cannot be used."""


class UnknownNameError(ConfigError, KeyError):
    """A name is not in its registry; the message lists the valid ones."""

    __str__ = Exception.__str__  # KeyError would print the repr of the message


class DataError(AlpError):
    """A data set is missing, truncated, corrupted or laid out in another way."""


class CheckpointError(AlpError):
    """A checkpoint or weight file is missing, damaged or of another model."""


class TrainingError(AlpError):
    """A training diverged."""


class RecordError(AlpError):
    """A result record is missing, damaged or foreign."""


class OutputError(AlpError, OSError):
    """A file or folder cannot be written."""


def choose(registry: Mapping[str, T], name: str, kind: str) -> T:
    """Return ``registry[name]``.

    Raises:
        UnknownNameError: ``name`` is not registered; the message lists the valid names.
    """
    if name not in registry:
        valid = ", ".join(sorted(registry))
        raise UnknownNameError(f"unknown {kind} {name!r}; choose one of: {valid}")
    return registry[name]


def install(extra: str) -> str:
    """How to install one of alp's extras: from its own source, since another project has its name
    on the public index."""
    return f'pip install -e ".[{extra}]" in the clone of alp'

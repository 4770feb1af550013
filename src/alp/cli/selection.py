"""Fields whose values decide which other options there are, such as a recipe or a norm."""

from __future__ import annotations

import argparse
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from alp.cli.errors import UsageError

Selected = Mapping[str, str]
"""Field to value, of the fields that decide about others."""


POSITIONAL: dict[str, Any] = {"positional": True}
"""Metadata of a field that is given without its name; a tuple takes one value or more."""


def among(names: Collection[str]) -> dict[str, Any]:
    """Metadata of a field whose value, or each of whose values, is one of ``names``."""
    return {"among": names}


def given(make: Callable[[Selected], Any], *names: str) -> dict[str, Any]:
    """Metadata of a nested field whose type and defaults ``make`` makes from fields ``names``."""
    return {"given": make, "by": names}


def scan(command: str, kind: type, arguments: list[str]) -> dict[str, str]:
    """The values of the deciding fields of ``kind``, before its parser can be built.

    A deciding positional field has to be the first argument, or to be in a ``--config`` file.
    One that is missing is left out where help is asked for; a value that is none of the choices
    is left to the parser, which refuses it.

    Raises:
        UsageError: a deciding positional is missing or unknown.
    """
    deciding = {name for each in fields(kind) for name in each.metadata.get("by", ())}
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    early.add_argument("--config", action="append", default=[])
    places = [each for each in fields(kind) if each.name in deciding]
    for each in places:
        if not each.metadata.get("positional"):
            early.add_argument(f"--{each.name}")
    try:
        seen = vars(early.parse_known_args(arguments)[0])
    except argparse.ArgumentError:
        seen = {"config": []}  # the parser will say what is wrong
    written = {key: value for path in seen["config"] for key, value in _read(path).items()}
    helped = bool({"-h", "--help"} & set(arguments))
    selected = {}
    for each in places:
        choices = _choices(each, kind)
        value = seen.get(each.name) or written.get(each.name)
        if each.metadata.get("positional"):
            if arguments and not arguments[0].startswith("-"):
                value = arguments[0]
            if value not in choices and not (value is None and helped):
                what = f"unknown {each.name} {value!r}" if value else f"give a {each.name} first"
                raise UsageError(f"alp {command}: {what}; choose one of: {', '.join(choices)}")
        elif value not in choices:
            value = None if each.default is MISSING else each.default
        if value is not None:
            selected[each.name] = value
    return selected


def _choices(each: Any, kind: type) -> Collection[str]:
    if "among" in each.metadata:
        return tuple(each.metadata["among"])
    return typing.get_args(typing.get_type_hints(kind)[each.name])


def _read(path: str) -> dict[str, Any]:
    """A configuration file's values, none where it cannot be read: the parser will say so."""
    from jsonargparse import get_loader

    try:
        values = get_loader("yaml")(Path(path).read_text())
    except Exception:  # of whichever loader there is
        return {}
    return values if isinstance(values, dict) else {}

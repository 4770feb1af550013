"""From a settings dataclass to its parser, and from the values back to the dataclass.

Each field becomes an option, nested ones dotted; its default and its explanation are those of the
dataclass. jsonargparse does the parsing, ``--config`` and ``--print_config``; the options are
added one by one, since its own reading of a dataclass imports torch for the annotations.

The docstrings below the fields of a dataclass: the one place where a setting is explained.

Numbers as they are written on a command line: fractions of grey levels too.

The one error that is the command line's own.

Fields whose values decide which other options there are, such as a recipe or a norm.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import textwrap
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from alp.config import from_dict


def explain(kind: type) -> dict[str, str]:
    """Field to the string literal below it, as one line; inherited fields included."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(tree, ast.ClassDef)
        for above, below in zip(tree.body, tree.body[1:], strict=False):
            if not isinstance(above, ast.AnnAssign) or not isinstance(above.target, ast.Name):
                continue
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                found[above.target.id] = " ".join(str(below.value.value).split())
    return found


def number(text: str | float) -> float:
    """A number, or a fraction such as 8/255.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(text, str) and "/" in text:
        above, below = map(float, text.split("/"))
        if below == 0:
            raise ValueError(f"{text} divides by zero")
        return above / below
    return float(text)


def number_or_none(text: str | float | None) -> float | None:
    """As ``number``; ``none`` and ``null`` stand for no number."""
    absent = text is None or str(text).lower() in ("none", "null")
    return None if absent else number(text)  # type: ignore[arg-type]


def worded(value: Any) -> str:
    """A setting as one would write it: 8/255 for 0.03137, words for a tuple."""
    if isinstance(value, tuple | list):
        return " ".join(map(worded, value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        levels = round(value * 255)
        short = f"{value:g}"
        return f"{levels}/255" if float(short) != value and levels / 255 == value else short
    return str(value)


class UsageError(Exception):
    """The command line cannot be understood."""


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


T = TypeVar("T")

_METAVARS = {float: "NUMBER", int: "N", str: "NAME", Path: "PATH"}


class _Formatter(DefaultHelpFormatter):
    """Shows the texts as they are: they name the default already."""

    def _get_help_string(self, action: argparse.Action) -> str:
        return action.help or ""


def parse(name: str, kind: type[T], arguments: list[str]) -> T:
    """The settings ``kind`` of the command ``name`` from its arguments.

    Raises:
        UsageError: an option is unknown or has a value of another type.
        ConfigError: a value is refused by its dataclass.
        SystemExit: help, or the configuration, was asked for and printed.
    """
    selected = scan(name, kind, arguments)
    try:
        values = build(name, kind, selected).parse_args(arguments).as_dict()
        actual = {key: values[key] for key in selected}
        if actual != selected:  # an option that stands before a --config that overrides it
            selected = actual
            values = build(name, kind, selected).parse_args(arguments).as_dict()
    except argparse.ArgumentError as error:
        raise UsageError(f"{_plain(error)} ('alp {name} --help' explains the options)") from error
    built = {
        # Settings without a field, of an attack that leaves nothing to choose, have no option.
        each.name: _value(_default(each, None, selected), values.get(each.name, {}))
        for each in fields(kind)  # type: ignore[arg-type]
    }
    return kind(**built)


def build(name: str, kind: type, selected: Mapping[str, str]) -> ArgumentParser:
    """The parser of a command; fields whose type is not ``selected`` yet are left out."""
    places = [each for each in fields(kind) if each.metadata.get("positional")]
    shown = " ".join(_shown(each, kind) for each in places)
    parser = ArgumentParser(
        prog=f"alp {name}",
        usage=" ".join(f"alp {name} {shown} [options]".split()),
        description=kind.__doc__,
        formatter_class=_Formatter,
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config", action="config", help="YAML or JSON file of options, as --print_config writes"
    )
    _add(parser, parser, kind, None, selected, "")
    return parser


def _shown(each: Field[Any], kind: type) -> str:
    """A positional field in the usage line."""
    name = f"{each.name.upper()}{' ...' * _many(each, kind)}"
    return name if each.default is MISSING else f"[{name}]"


def _add(
    parser: ArgumentParser,
    group: Any,
    kind: type,
    defaults: Any,
    selected: Mapping[str, str],
    prefix: str,
) -> None:
    """Add the options of ``kind``; ``defaults`` is an instance of it, or None for its own."""
    hints, texts = typing.get_type_hints(kind), explain(kind)
    for each in fields(kind):
        key, text = f"{prefix}{each.name}", texts[each.name].replace("%", "%%")
        default = _default(each, defaults, selected)
        if is_dataclass(default):
            inner = parser.add_argument_group(key, text)
            _add(parser, inner, type(default), default, selected, f"{key}.")
        elif "given" not in each.metadata:
            names, options = _leaf(key, hints[each.name], each, default)
            if options.get("required") or ("default" not in options and default is MISSING):
                text += " (required)"
            elif default is not None and default is not False and default != ():
                text += f" (default: {worded(default)})"
            group.add_argument(names, help=text, **options)


def _default(each: Field[Any], defaults: Any, selected: Mapping[str, str]) -> Any:
    """The default of a field: an instance for nested settings, MISSING where it is required."""
    if "given" in each.metadata:
        ready = all(name in selected for name in each.metadata["by"])
        return each.metadata["given"](selected) if ready else MISSING
    if defaults is not None:
        return getattr(defaults, each.name)
    return each.default if each.default_factory is MISSING else each.default_factory()


def _leaf(key: str, hint: Any, each: Field[Any], default: Any) -> tuple[str, dict[str, Any]]:
    """Name and keywords of ``add_argument`` for one option."""
    kind, many, optional = _taken_apart(hint)
    if kind is bool and "." not in key:
        return f"--{key}", {"action": "store_true"}
    options: dict[str, Any] = {"type": kind}
    if "among" in each.metadata:
        options["type"] = Literal[tuple(each.metadata["among"])]
    elif kind is float:
        options["type"] = number_or_none if optional else number
    elif optional:
        options["type"] = kind | None
    if kind in _METAVARS and "among" not in each.metadata:
        options["metavar"] = _METAVARS[kind]
    if default is not MISSING:
        options["default"] = list(default) if many else default
    if many:
        options["nargs"] = "+"
    if each.metadata.get("positional"):
        return key, options | ({} if default is MISSING else {"nargs": "*" if many else "?"})
    return f"--{key}", options | ({"required": True} if default is MISSING else {})


def _taken_apart(hint: Any) -> tuple[Any, bool, bool]:
    """A hint as (type, whether of many, whether None is allowed)."""
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) in (UnionType, typing.Union):
        (kind,) = (each for each in arguments if each is not NoneType)
        return kind, False, True
    if typing.get_origin(hint) is tuple:
        return arguments[0], True, False
    return hint, False, False


def _many(each: Field[Any], kind: type) -> bool:
    return _taken_apart(typing.get_type_hints(kind)[each.name])[1]


def _value(default: Any, value: Any) -> Any:
    """A parsed value as its field holds it."""
    if is_dataclass(default):
        return from_dict(type(default), value)  # type: ignore[arg-type]
    return tuple(value) if isinstance(value, list) else value


def _plain(error: argparse.ArgumentError) -> str:
    """What jsonargparse says, in one line and without Python's names of types."""
    text = " ".join(str(error).split())
    text = re.sub(r'Parser key "([\w.]+)"(?: element \d+)?:', r"argument --\1:", text)
    text = re.sub(r"Expected an? (?:typing\.)?Literal\[(.*?)\]\.", r"give one of: \1.", text)
    text = re.sub(r"Expected an? <class '(\w+)'>\.", r"give a value of type \1.", text)
    return text.replace("Got value:", "Got:")

"""From the arguments of a command to its settings, a frozen dataclass.

Each field is an option, nested ones dotted; its default and its explanation are those of the
dataclass. Some fields decide which class another one has, as a recipe decides about its stage:
they are read first, by a parser that does not know the options of the other one yet.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import textwrap
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar

from alp.cli.values import Option, worded
from alp.config import from_dict
from alp.errors import AlpError, ConfigError

T = TypeVar("T")


class UsageError(AlpError):
    """The command line cannot be understood."""


POSITIONAL: dict[str, Any] = {"positional": True}
"""Metadata of a field that may be given without its name; a tuple takes one value or more."""

WRITTEN: dict[str, Any] = {"folder": "written"}
"""Metadata of a field that is a folder the command writes into: whether it can is seen first."""

RESUMED: dict[str, Any] = {"folder": "resumed"}
"""As ``WRITTEN``; and the same command goes on from what an interrupted one left there."""


def among(names: Collection[str]) -> dict[str, Any]:
    """Metadata of a field whose value, or each of whose values, is one of ``names``."""
    return {"among": names}


def given(make: Callable[[Mapping[str, str]], Any], *names: str) -> dict[str, Any]:
    """Metadata of a nested field whose class and defaults ``make`` makes from fields ``names``."""
    return {"given": make, "by": names}


@dataclass(frozen=True, kw_only=True)
class Printed:
    """The settings of a command that prints a result."""

    json: bool = False
    """Print JSON."""


def pairs(option: str, texts: Iterable[str], form: str) -> dict[str, str]:
    """The values of an option that is given as ``form``, such as NAME=VALUE, by their names.

    Raises:
        UsageError: one is written otherwise, or its name is given twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if not name or not value or name in found:
            raise UsageError(f"--{option} has {text[:100]!r}; give {form}, each name once")
        found[name] = value
    return found


@cache
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


def near(name: str, known: Iterable[str]) -> str:
    """A question whether one of ``known`` was meant; empty where none is like ``name``."""
    last, known = name.rpartition(".")[2].lstrip("-"), list(known)
    ends = {each.rpartition(".")[2].lstrip("-"): each for each in reversed(known)}
    if "." in name and last not in ends:
        found = get_close_matches(name, known, 1)
    else:
        found = [ends[each] for each in get_close_matches(last, ends, 1)]
    return f"; did you mean {found[0]}?" if found else ""


def parse(command: str, kind: type[T], arguments: list[str]) -> T:
    """The settings ``kind`` of ``command`` from its arguments.

    Raises:
        UsageError: an option is unknown, is missing or has a value of another type.
        ConfigError: a value is refused by its dataclass.
        SystemExit: help, or the configuration, was asked for and printed.
    """
    parser = _Parser(command, kind, {})
    values, unknown = parser.read(arguments)
    deciding = [name for each in parser.places for name in each.metadata.get("by", ())]
    chosen = {name: values.get(name, parser.options[name].default) for name in deciding}
    if chosen and MISSING not in chosen.values():
        parser = _Parser(command, kind, chosen)
        values, unknown = parser.read(arguments)
    if "help" in values:
        parser.print_help()
        raise SystemExit(0)
    for name, option in parser.options.items():
        if option.default is MISSING and name in deciding and name not in values:
            parser.error(f"give a {name}, one of: {', '.join(option.names or ())}")
    if unknown:
        name = unknown[0].split("=")[0]
        parser.error(f"there is no option {name}" + near(name, parser._option_string_actions))
    values = {name: option.default for name, option in parser.options.items()} | values
    missing = [name for name, value in values.items() if value is MISSING]
    if values.pop("print_config", False):
        from alp.cli.configuration import options_text

        told = {name: value for name, value in values.items() if value is not MISSING}
        print(options_text(nested(told)), end="")
        raise SystemExit(0)
    if missing:
        parser.error(f"--{missing[0]} is missing")
    tree = nested(values)
    for each in parser.places:
        default = parser.default(each)
        if is_dataclass(default):
            # Settings without a field, of an attack that leaves nothing to choose, have no option.
            tree[each.name] = from_dict(type(default), tree.get(each.name, {}))  # type: ignore
    return kind(**tree)


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of dotted names as mappings of mappings."""
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *parents, name = key.split(".")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = value
    return tree


class _Parser(argparse.ArgumentParser):
    """The options of a command; a field whose class is not ``chosen`` yet has none."""

    def __init__(self, command: str, kind: type, chosen: Mapping[str, str]) -> None:
        super().__init__(
            prog=f"alp {command}",
            description=kind.__doc__,
            argument_default=argparse.SUPPRESS,
            add_help=False,
            allow_abbrev=False,
        )
        self.places: tuple[Field[Any], ...] = fields(kind)
        self.options: dict[str, Option] = {}
        self._chosen = chosen
        add = self.add_argument
        add("--help", "-h", action="store_true", help="explain the options")
        add(
            "--config",
            action=_Config,
            help="YAML or JSON file of options, as --print_config writes",
        )
        add("--print_config", action="store_true", help="print the options as YAML")
        self._add(self, kind, None, "")
        shown = [self._shown(each.name) for each in self.places if "positional" in each.metadata]
        self.usage = " ".join([self.prog, *shown, "[options]"])

    def _shown(self, name: str) -> str:
        text = f"{name.upper()}{' ...' * self.options[name].many}"
        return text if self.options[name].default is MISSING else f"[{text}]"

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} ('{self.prog} --help' explains the options)")

    def read(self, arguments: list[str]) -> tuple[dict[str, Any], list[str]]:
        """Dotted name to value, of what is given; and the options that are unknown.

        Raises:
            UsageError: a value cannot be understood, or there is one too many.
        """
        end = arguments.index("--") if "--" in arguments else len(arguments)
        found, rest = self.parse_known_args(arguments[:end])
        values = vars(found)
        unknown = [*values.pop("unknown", ()), *(text for text in rest if text.startswith("-"))]
        texts = [
            text
            for before, text in zip(["", *rest], rest, strict=False)
            # What follows an unknown option is its value.
            if not text.startswith("-") and (not before.startswith("-") or "=" in before)
        ]
        texts += arguments[end + 1 :]
        for name in (each.name for each in self.places if "positional" in each.metadata):
            taken = len(texts) if self.options[name].many else 1
            if texts:
                values[name] = self.read_values(name, texts[:taken])
            texts = texts[taken:]
        if texts and not unknown:
            self.error(f"{texts[0]!r} is one value too many")
        return values, unknown

    def read_values(self, name: str, texts: list[str]) -> Any:
        """The value of option ``name`` from its texts.

        Raises:
            UsageError: it is of another type, or there is another number of them.
        """
        option = self.options[name]
        if (not texts and option.default != ()) or (len(texts) > 1 and not option.many):
            self.error(f"--{name} has {len(texts)} values; give one{' or more' * option.many}")
        try:
            values = tuple(map(option.read, texts))
        except ValueError as error:
            self.error(f"--{name}: {error}")
        return values if option.many else values[0]

    def _add(self, group: Any, kind: type, defaults: Any, prefix: str) -> None:
        """Add the options of ``kind``, those that it shares with others at the end; ``defaults``
        is an instance of it, or None for its own."""
        hints, texts, own = (
            typing.get_type_hints(kind),
            explain(kind),
            inspect.get_annotations(kind),
        )
        for each in sorted(fields(kind), key=lambda each: each.name not in own):
            key, text = f"{prefix}{each.name}", texts[each.name].replace("%", "%%")
            default = self.default(each) if defaults is None else getattr(defaults, each.name)
            if is_dataclass(default):
                self._add(self.add_argument_group(key, text), type(default), default, f"{key}.")
            elif "given" not in each.metadata:
                option = Option(hints[each.name], _names(hints[each.name], each), default)
                self.options[key] = option
                if default is MISSING:
                    text += " (required)"
                elif default is not None and default is not False and default != ():
                    text += f" (default: {worded(default)})"
                _add_option(group, key, option, text)

    def default(self, each: Field[Any]) -> Any:
        """The default of a field of the command; MISSING where it is required, or not known yet."""
        if "given" in each.metadata:
            return each.metadata["given"](self._chosen) if self._chosen else MISSING
        return each.default if each.default_factory is MISSING else each.default_factory()


def _names(hint: Any, each: Field[Any]) -> Collection[str] | None:
    if typing.get_origin(hint) is Literal:
        return typing.get_args(hint)
    names: Collection[str] | None = each.metadata.get("among")
    return names


def _add_option(group: Any, key: str, option: Option, text: str) -> None:
    if option.hint is bool and "." not in key:
        group.add_argument(f"--{key}", action="store_true", help=text)
        return
    shape = {"action": _Option, "metavar": option.metavar, "help": text}
    group.add_argument(f"--{key}", nargs="+" if option.many else None, **shape)


class _Option(argparse.Action):
    """Takes the value of an option."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: str | None = None) -> None:
        texts = values if isinstance(values, list) else [values]
        setattr(namespace, self.dest, parser.read_values(self.dest, texts))


class _Config(argparse.Action):
    """Takes the options of a file, at the place where it stands among the others."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: str | None = None) -> None:
        from alp.cli.configuration import read_options

        try:
            found = read_options(Path(values))
        except ConfigError as error:
            parser.error(str(error))
        known = {name: texts for name, texts in found.items() if name in parser.options}
        for name, texts in known.items():
            setattr(namespace, name, parser.read_values(name, texts))
        unknown = [f"--{name}" for name in found if name not in known]
        namespace.unknown = [*getattr(namespace, "unknown", ()), *unknown]

"""One value of an option: read from its text, and written as one would write it."""

from __future__ import annotations

import typing
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any


def number(text: str) -> float:
    """A number, or a fraction such as 8/255.

    Raises:
        ValueError: it is neither.
    """
    above, *below = map(float, text.split("/", 1))
    if below == [0]:
        raise ValueError(f"{text} divides by zero")
    return above / below[0] if below else above


def _truth(text: str) -> bool:
    return bool(["false", "true"].index(text.lower()))


def _name(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError(text)
    return text


_KINDS: dict[Any, tuple[Callable[[str], Any], str, str]] = {
    bool: (_truth, "{true,false}", "true or false"),
    int: (int, "N", "a whole number"),
    float: (number, "NUMBER", "a number, or a fraction such as 8/255"),
    str: (_name, "NAME", "a name"),
    Path: (lambda text: Path(_name(text)), "PATH", "a path"),
}
"""Type to its conversion from text, what stands for it in the help, and its words."""


@dataclass(frozen=True)
class Option:
    """How a field that is no nested dataclass is read."""

    hint: Any
    """The field's type."""
    names: Collection[str] | None
    """What its values can be; None where they are not counted."""
    default: Any
    """MISSING where it is required."""

    @property
    def many(self) -> bool:
        """Whether it takes several values."""
        return typing.get_origin(self.hint) is tuple

    @property
    def kind(self) -> tuple[Callable[[str], Any], str, str]:
        """The entry of ``_KINDS`` of each value."""
        parts = {each for each in typing.get_args(self.hint) if each not in (NoneType, ...)}
        if self.names is not None:  # a Literal may hold numbers
            return _KINDS[type(next(iter(self.names), ""))]
        return _KINDS[next(iter(parts), self.hint)]

    @property
    def metavar(self) -> str:
        """What stands for a value in the help."""
        return self.kind[1] if self.names is None else "{" + ",".join(map(str, self.names)) + "}"

    def read(self, text: str) -> Any:
        """A value from its text.

        Raises:
            ValueError: it is of another type, or not among the names.
        """
        if NoneType in typing.get_args(self.hint) and text.lower() in ("", "none", "null"):
            return None
        convert, _, wanted = self.kind
        if self.names is not None and text not in map(str, self.names):
            raise ValueError(
                f"{text!r} is unknown; give one of: {', '.join(map(repr, self.names))}"
            )
        try:
            return convert(text)
        except ValueError as error:
            raise ValueError(f"{text!r} is not {wanted}") from error


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

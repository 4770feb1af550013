"""Numbers as they are written on a command line: fractions of grey levels too."""

from __future__ import annotations

from typing import Any


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

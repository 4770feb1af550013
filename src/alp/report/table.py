"""The table of a section as text: headings and cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from alp.errors import ConfigError
from alp.report.sections import Published, Section
from alp.report.words import interval, percent

ABSENT = "\u2013"
"""What stands in a cell without a value."""

NUMBERS: dict[str, tuple[str, Callable[[float], str]]] = {
    "psnr": ("PSNR", lambda value: f"{value:.2f}\u202fdB"),
    "ssim": ("SSIM", lambda value: f"{value:.3f}"),
    "sigma": ("sigma", lambda value: f"{value:.3f}"),
    "latency_ms": ("latency", lambda value: f"{value:.2f}\u202fms"),
}
"""Column that is no accuracy to its heading and the text of a value."""


@dataclass(frozen=True)
class Column:
    """A column of the table."""

    key: str
    """Its key in an aggregated row, or a level of knowledge."""
    heading: str
    """What stands above it."""
    group: str = ""
    """``robust`` for the columns under attack."""


@dataclass(frozen=True)
class Cell:
    """One measured value."""

    column: Column
    """Where it stands."""
    value: str = ABSENT
    """The measurement."""
    interval: str = ""
    """Its 95 % interval."""
    sd: str = ""
    """Its deviation over trials."""
    published: str = ""
    """The published value beside it."""


def columns(section: Section) -> list[Column]:
    """The columns of a section: clean, each level, the worst case of several, the rest."""
    levels = [Column(level, level, "robust") for level in section.knowledge]
    worst = [Column("worst", "worst case", "robust")] if len(levels) > 1 else []
    numbers = [Column(key, heading) for key, (heading, _) in NUMBERS.items()]
    return [Column("clean", "clean"), *levels, *worst, *numbers]


def cells(section: Section, row: Mapping[str, Any], published: Published) -> list[Cell]:
    """The cells of an aggregated row, one a column."""
    claims = published.get(row["name"], {})
    return [_cell(column, row, claims.get(column.key)) for column in columns(section)]


def require_columns(shown: list[Section], published: Published) -> None:
    """Refuse a claim that no column could ever show, such as a misspelt one.

    Raises:
        ConfigError: a column of ``published`` is in no section.
    """
    known = {column.key for section in shown for column in columns(section)} | {"clean", *NUMBERS}
    for name, claims in published.items():
        for key in claims:
            if shown and key not in known | {"worst"}:
                raise ConfigError(
                    f"the published value of {name!r} is for the column {key!r}; "
                    f"give one of: {', '.join(sorted(known))}"
                )


def accuracy(row: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    """The accuracy of an aggregated row in the column ``key``, None where it was not measured."""
    found: dict[str, Any] | None = {**row["robust"], "clean": row["clean"]}.get(key)
    return row["worst"] if key == "worst" else found


def _cell(column: Column, row: Mapping[str, Any], claim: float | None) -> Cell:
    if column.key in NUMBERS:
        text = NUMBERS[column.key][1]
        number = row[column.key]
        claimed = "" if claim is None else text(claim)
        if number is None:
            return Cell(column, published=claimed)
        sd = "" if number["sd"] is None else f"{number['sd']:.2g}"
        return Cell(column, text(number["value"]), sd=sd, published=claimed)
    claimed = "" if claim is None else percent(claim, 2)
    share = accuracy(row, column.key)
    if share is None:
        return Cell(column, published=claimed)
    sd = "" if share["sd"] is None else f"{100 * share['sd']:.2f}"
    return Cell(column, percent(share["value"]), interval(share), sd, claimed)

"""The table of a section as text: headings and cells.

Records to the sections of a report: one protocol a section, one defence a row.

Robustness records as parts of the page: a table for each protocol.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from alp.errors import ConfigError, RecordError
from alp.records import Kept, Record, aggregate
from alp.report.format import attack_words, interval, percent, row_words, run_words, threat_words
from alp.report.refusal import Refused, provenance, sifted

_PROTOCOL = ("data", "data_digest", "images", "threat", "attack")

Published = Mapping[str, Mapping[str, float]]
"""Name of a defence to column (``clean``, a level, ``worst``, ``psnr``, ``ssim``, ``sigma``,
``latency_ms``) to the published number, in the units of ``aggregate``: accuracies in [0,1]."""


@dataclass(frozen=True)
class Section:
    """Everything that was measured under one protocol: numbers that may stand in one table."""

    protocol: dict[str, Any]
    """The header fields that all of its records share: data, digest, images, threat, attack."""
    knowledge: dict[str, str]
    """Level of attacker knowledge to one sentence on it."""
    rows: list[dict[str, Any]]
    """What ``aggregate`` says of each defence."""
    records: list[Record]
    """The records behind the rows."""
    warnings: dict[str, list[str]]
    """Warning to the names of the defences it concerns."""


def sections(
    records: Iterable[Record], published: Published
) -> tuple[list[Section], list[RecordError]]:
    """The sections of robustness records, and why a record could not be used.

    Rows stand in the order of ``published``, then by rising worst case. Records that differ in
    name, draws or levels are never averaged.
    """
    groups: dict[str, dict[str, list[Record]]] = {}
    refused = []
    for record in records:
        try:
            aggregate([record])
        except RecordError as error:
            refused.append(error)
            continue
        header = record.header
        protocol = json.dumps([header[key] for key in _PROTOCOL], sort_keys=True)
        row = json.dumps([header["name"], header["draws"], header["knowledge"]])
        groups.setdefault(protocol, {}).setdefault(row, []).append(record)
    return [_section(list(rows.values()), published) for rows in groups.values()], refused


def _section(trials: list[list[Record]], published: Published) -> Section:
    order = list(published)

    def place(row: dict[str, Any]) -> tuple[int, float]:
        known = order.index(row["name"]) if row["name"] in order else len(order)
        return known, row["worst"]["value"]

    records = [record for group in trials for record in group]
    first = records[0].header
    knowledge: dict[str, str] = {}
    for record in records:
        knowledge |= record.header["knowledge"]
    return Section(
        protocol={key: first[key] for key in _PROTOCOL},
        knowledge=knowledge,
        rows=sorted((aggregate(group) for group in trials), key=place),
        records=records,
        warnings=_warnings(trials),
    )


def _warnings(trials: Sequence[Sequence[Record]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for group in trials:
        name = group[0].name
        texts = [text for record in group for text in record.header["warnings"]]
        for trial, times in Counter(record.header["trial"] for record in group).items():
            if times > 1:
                texts.append(
                    f"trial {trial} is there {times} times: the deviation over trials is too small"
                )
        for text in dict.fromkeys(texts):
            found.setdefault(text, []).append(name)
    return found


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
    """The columns of a section: clean, each level, every one of several, the rest."""
    levels = [Column(level, level, "robust") for level in section.knowledge]
    worst = [Column("worst", "every level", "robust")] if len(levels) > 1 else []
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


Publisher = Callable[[str, Sequence[str]], Published]
"""From the name of a data set and the levels of knowledge to the published values beside them."""


def robustness_parts(
    kept: Iterable[Kept], published: Published | Publisher
) -> tuple[list[dict[str, Any]], Refused]:
    """The sections as the template sees them, and why a record could not be used.

    Records of different folders are of different runs, and never averaged.
    """
    good, refused = sifted(kept, _told)
    parts = []
    for _, group in groupby(good, key=lambda each: each.folder):
        run = list(group)
        paths = {id(each.record): each.path for each in run}
        order = {} if callable(published) else published
        found, _ = sections([each.record for each in run], order)
        if not callable(published):
            require_columns(found, published)
        parts += [_part(each, _beside(each, published), paths, run[0].run) for each in found]
    return parts, refused


def _beside(section: Section, published: Published | Publisher) -> Published:
    if callable(published):
        return published(str(section.protocol["data"]["name"]), list(section.knowledge))
    return published


def _part(
    section: Section, published: Published, paths: Mapping[int, str], run: str
) -> dict[str, Any]:
    """A section as the template sees it, all text."""
    best = max(section.rows, key=lambda row: row["worst"]["value"])
    shown = columns(section)
    rows = [
        {"name": row["name"], "how": row_words(row), "cells": cells(section, row, published)}
        for row in section.rows
    ]
    return {
        **_words(section.protocol),
        "run": run_words(run, f"{section.protocol['images']:,} images"),
        "knowledge": section.knowledge,
        "best": {
            "name": best["name"],
            "value": percent(best["worst"]["value"]),
            "interval": interval(best["worst"]),
        },
        "columns": shown,
        "attacked": sum(column.group == "robust" for column in shown),
        "rows": rows,
        "has_published": bool(published),
        "warnings": section.warnings,
        "provenance": [provenance(record.header, paths[id(record)]) for record in section.records],
    }


def _words(header: Mapping[str, Any]) -> dict[str, str]:
    """A protocol in words."""
    return {
        "data": f"{header['data']['name']} ({header['data']['split']})",
        "images": f"{header['images']:,}",
        "threat": threat_words(header["threat"]),
        "attack_name": str(header["attack"]["name"]).upper(),
        "attack": attack_words(header["attack"], header["threat"]),
    }


def _told(each: Kept) -> None:
    """Whatever the page says of one record."""
    aggregate([each.record])
    _words(each.record.header)
    provenance(each.record.header, each.path)

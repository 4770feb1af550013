"""Robustness records as parts of the page: a table and bars for each protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from alp.evaluation.records import Kept, aggregate
from alp.report.figure import bars
from alp.report.provenance import provenance
from alp.report.refusal import Refused, sifted
from alp.report.sections import Published, Section, sections
from alp.report.table import cells, columns, require_columns
from alp.report.words import attack_words, interval, percent, row_words, run_words, threat_words

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
    """A section as the template sees it; all text, but for the figure."""
    from markupsafe import Markup

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
        # Matplotlib escapes what it draws; see the test with a script in a name.
        "figure": Markup(bars(section, published)),
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

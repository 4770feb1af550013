"""Records to the sections of a report: one protocol a section, one defence a row."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alp.errors import RecordError
from alp.evaluation.records import Record, aggregate

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

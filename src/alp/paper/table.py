"""An experiment's table as data: measurements and published values, from records alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from alp.errors import RecordError
from alp.evaluation.records import Record
from alp.report.sections import Published, Section, sections


def section_of(records: Sequence[Record], published: Published) -> Section:
    """The records as one table: published rows first, then in the order of the records.

    Raises:
        RecordError: there is none, or they are of several protocols.
    """
    names = dict.fromkeys([*published, *(record.name for record in records)])
    order = {name: published.get(name, {}) for name in names}
    parts, refused = sections(records, order)
    if refused:
        raise refused[0]
    if len(parts) != 1:
        raise RecordError(f"the records follow {len(parts)} protocols; a table has one")
    return parts[0]


def table(section: Section, published: Published) -> dict[str, Any]:
    """The table as JSON values.

    It holds no time of day and no latency, so that a repetition gives the same bytes.

    Returns:
        ``protocol`` (data, digest, images, threat, attack, knowledge), ``rows`` and ``warnings``.
        A row has ``name``, ``draws``, ``trials``; ``clean``, ``worst`` and under ``robust`` each
        level: ``value``, ``low``, ``high`` and ``sd`` over trials, in [0,1]; ``psnr``, ``ssim``
        and ``sigma``: ``value`` and ``sd``; and ``published``, column to published value.
    """
    return {
        "protocol": section.protocol | {"knowledge": section.knowledge},
        "rows": [_row(row, published.get(row["name"], {})) for row in section.rows],
        "warnings": section.warnings,
    }


def _row(row: Mapping[str, Any], claims: Mapping[str, float]) -> dict[str, Any]:
    left_out = ("latency_ms", "warnings", "images")
    measured = {key: value for key, value in row.items() if key not in left_out}
    beside = {key: value for key, value in claims.items() if key != "latency_ms"}
    return measured | {"published": beside}

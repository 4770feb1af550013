"""Measurements as a table on the terminal, with the protocol in words above it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from alp.cli.console import say, width
from alp.evaluation.records import Record
from alp.report.sections import Published, Section
from alp.report.table import Cell, Column, cells, columns
from alp.report.words import attack_words, row_words, threat_words, timing_words

COLUMN = 13
"""Characters that a column of the table takes."""


def show_section(section: Section, published: Published) -> None:
    """Print the protocol in words, the table, and the warnings."""
    say(*protocol_lines(section, published), robustness_table(section, published))
    for text, names in section.warnings.items():
        say(f"warning    {text} ({', '.join(names)})")


def protocol_lines(section: Section, published: Published) -> Iterator[str]:
    """What was measured and how, a line each."""
    protocol = section.protocol
    data = protocol["data"]
    yield f"images     {protocol['images']:,} of {data['name']} ({data['split']})"
    yield f"threat     {threat_words(protocol['threat'])}"
    yield f"attack     {attack_words(protocol['attack'], protocol['threat'])}"
    for number, (level, words) in enumerate(section.knowledge.items()):
        yield f"{'' if number else 'attacker':<11}{level}: {' '.join(words.split())}"
    yield "verdict    the mean logits over all draws, on fresh draws that no attack has seen"
    timed = dict.fromkeys(timing_words(record.header["latency"]) for record in section.records)
    yield f"latency    median of a call with {'; '.join(timed)}"
    claims = "; [ ]: the paper's value, latencies on an Apple M4 GPU" if published else ""
    yield f"numbers    below each its 95 % Wilson interval; ±: deviation over trials{claims}"


def robustness_table(section: Section, published: Published) -> Table:
    """One row a defence; on a narrow terminal one column a defence."""
    lines = list(_lines(section, published))
    table = Table(show_lines=True)
    if len(lines[0]) * COLUMN > width() and len(lines) < len(lines[0]):
        lines = list(zip(*lines, strict=True))
    for number, heading in enumerate(lines[0]):
        table.add_column(heading, justify="right" if number else "left")
    for line in lines[1:]:
        table.add_row(*line)
    return table


def with_latency(row: Mapping[str, Any], records: Sequence[Record]) -> dict[str, Any]:
    """A row as JSON values, with the latencies that a table on disk leaves out."""
    latency = {call: milliseconds(records, row["name"], call) for call in ("draw", "predict")}
    return {**row, "latency_ms": latency}


def milliseconds(records: Sequence[Record], name: str, call: str) -> float:
    """Mean over trials of the median latency of ``draw`` (one draw) or ``predict`` (all)."""
    times = [each.header["latency"][call]["median_ms"] for each in records if each.name == name]
    return float(sum(times) / len(times))


def _lines(section: Section, published: Published) -> Iterator[tuple[str, ...]]:
    """Headings, then the cells of each defence."""
    shown = [each for each in columns(section) if each.key not in ("ssim", "latency_ms")]
    headings = [_heading(column) for column in shown]
    yield ("defence", *headings, "latency\none draw", "latency\nall draws")
    for row in section.rows:
        found = {cell.column.key: cell for cell in cells(section, row, published)}
        one = f"{milliseconds(section.records, row['name'], 'draw'):.2f}\u202fms"
        name = "\n".join([row["name"], *row_words(row).split(", ")])
        yield (
            name,
            *(_text(found[column.key]) for column in shown),
            one,
            _text(found["latency_ms"]),
        )


def _heading(column: Column) -> str:
    return f"{column.group}\n{column.heading}" if column.group else column.heading


def _text(cell: Cell) -> str:
    lines = [cell.value]
    if cell.interval:
        lines.append(cell.interval)
    if cell.sd:
        lines.append(f"±\u202f{cell.sd}")
    if cell.published:
        lines.append(f"[{cell.published}]")
    return "\n".join(lines)

"""The paper's table on the terminal: the protocol in words, then a row a defence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from alp.cli.console import say, table
from alp.cli.words import labelled, protocol_lines
from alp.records import Record
from alp.report.format import attack_words, row_words, timing_words
from alp.report.tables import Cell, Published, Section, cells, columns


def show_section(section: Section, published: Published) -> None:
    """Print the protocol in words, the table, and the warnings."""
    rows = table(_rows(section, published), ruled=True)
    say(*_protocol(section, published), rows)
    for text, names in section.warnings.items():
        say(f"warning    {text} ({', '.join(names)})")


def with_latency(row: Mapping[str, Any], records: Sequence[Record]) -> dict[str, Any]:
    """A row as JSON values, with the latencies that a table on disk leaves out."""
    latency = {call: _milliseconds(records, row["name"], call) for call in ("draw", "predict")}
    return {**row, "latency_ms": latency}


def _protocol(section: Section, published: Published) -> Iterator[str]:
    protocol = section.protocol
    yield from protocol_lines(protocol)
    yield f"attack     {attack_words(protocol['attack'], protocol['threat'])}"
    words = [f"{level}: {' '.join(each.split())}" for level, each in section.knowledge.items()]
    yield from labelled("attacker", words)
    yield "verdict    the mean logits over all draws, on fresh draws that no attack has seen"
    timed = dict.fromkeys(timing_words(record.header["latency"]) for record in section.records)
    yield f"latency    median of a call with {'; '.join(timed)}"
    claims = "; [ ]: the paper's value" if published else ""
    yield f"numbers    below each its 95 % Wilson interval; ±: deviation over trials{claims}"


def _milliseconds(records: Sequence[Record], name: str, call: str) -> float:
    """Mean over trials of the median latency of ``draw`` (one draw) or ``predict`` (all)."""
    times = [each.header["latency"][call]["median_ms"] for each in records if each.name == name]
    return float(sum(times) / len(times))


def _rows(section: Section, published: Published) -> Iterator[list[str]]:
    """Headings, then the cells of each defence."""
    shown = [each for each in columns(section) if each.key not in ("ssim", "latency_ms")]
    headings = ["\n".join(filter(None, (each.group, each.heading))) for each in shown]
    yield ["defence", *headings, "latency\none draw", "latency\nall draws"]
    for row in section.rows:
        found = {cell.column.key: _text(cell) for cell in cells(section, row, published)}
        name = "\n".join([row["name"], *row_words(row).split(", ")])
        one = f"{_milliseconds(section.records, row['name'], 'draw'):.2f}\u202fms"
        yield [name, *(found[each.key] for each in shown), one, found["latency_ms"]]


def _text(cell: Cell) -> str:
    sd = cell.sd and f"±\u202f{cell.sd}"
    claim = cell.published and f"[{cell.published}]"
    return "\n".join(filter(None, (cell.value, cell.interval, sd, claim)))

"""Measurements as a table on the terminal, with the protocol in words above it.

Verdicts on the terminal: the protocol in words, one table, and what the checks say.

A bench record on the terminal: the engines, the peers, the targets, and what to choose.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from alp.bench.run import WHATS
from alp.cli.console import say, width
from alp.records import Record
from alp.records.statistics import Ratio, ratio
from alp.records.timings import EAGER, Judged, Row, best, judge, reference, rows, share, sibling
from alp.records.timings import as_json as target_json
from alp.report.format import (
    attack_words,
    count,
    entry_words,
    interval,
    percent,
    row_words,
    suite_words,
    threat_words,
    timing_words,
)
from alp.report.tables import ABSENT, Cell, Column, Published, Section, cells, columns

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


def caveat_lines(records: Sequence[Record]) -> Iterator[str]:
    """What was done and how, a line each."""
    header = records[0].header
    data = header["data"]
    of = f"{data['name']} ({data['split']})"
    yield f"images     {header['images']:,} of {of}, seed {header['seed']}"
    yield f"threat     {threat_words(header['threat'])}"
    rounds = header["evaluations"]
    suite = suite_words(header)
    yield f"verdict    suite {suite}: of an image's candidates the one least often right"
    yield f"           in {count(rounds, 'prediction')}, judged by as many fresh ones"
    for words in dict.fromkeys(each.header["extra"].get("deployed") for each in records):
        if words:
            yield f"deployed   {words}"
    levels = {level: words for each in records for level, words in each.header["knowledge"].items()}
    for number, (level, words) in enumerate(levels.items()):
        yield f"{'' if number else 'attacker':<11}{level}: {' '.join(words.split())}"
    entries = {each["name"]: each for record in records for each in record.header["entries"]}
    for number, entry in enumerate(entries.values()):
        words = entry_words(entry, header["threat"])
        yield f"{'' if number else 'attacks':<11}{entry['level']}: {words}"
    yield "numbers    below each accuracy its 95 % Wilson interval"


def span(seconds: float) -> str:
    """A length of time in the unit that people would use for it."""
    for limit, size, unit in ((90, 1, "second"), (5400, 60, "minute"), (172800, 3600, "hour")):
        if seconds < limit:
            return count(max(1, round(seconds / size)), unit)
    return count(round(seconds / 86400), "day")


def table(conclusions: Sequence[Mapping[str, Any]]) -> Table:
    """One column a model, or one row a model where the terminal is wide enough."""
    levels = list(dict.fromkeys(level for each in conclusions for level in each["levels"]))
    lines = [["model", "clean", *levels, "worst case", "majority", "right every time", "checks"]]
    for each in conclusions:
        shares = [each["clean"], *(each["levels"].get(level) for level in levels)]
        shares += [each["worst"], each["majority"], each["worst_of_r"]]
        passed = sum(check["passed"] for check in each["checks"])
        name = f"{each['name']}\n{count(each['draws'], 'draw')}"
        lines.append(
            [name, *(_accuracy(share) for share in shares), f"{passed} of {len(each['checks'])}"]
        )
    if len(lines[0]) * COLUMN > width() and len(lines) < len(lines[0]):
        lines = [list(line) for line in zip(*lines, strict=True)]
    shown = Table(show_lines=True)
    for number, heading in enumerate(lines[0]):
        shown.add_column(heading, justify="right" if number else "left")
    for line in lines[1:]:
        shown.add_row(*line)
    return shown


def verdict_lines(conclusions: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The headline of each model, then every check with its measured value."""
    for each in conclusions:
        worst = each["worst"]
        yield (
            f"verdict    {each['name']}: {percent(worst['value'])} robust in the worst case "
            f"(95 % interval {interval(worst)}), {percent(each['clean']['value'])} clean"
        )
        for check in each["checks"]:
            result = "passed" if check["passed"] else "FAILED"
            yield f"  {result:<9}{check['check']}: {check['words']}"
        for text in each["warnings"]:
            yield f"  warning  {text}"


def _accuracy(share: Mapping[str, float] | None) -> str:
    return ABSENT if share is None else f"{percent(share['value'])}\n{interval(share)}"


CHOSEN_AT = (1, 64)
"""Batch sizes for which a backend is chosen, where they were timed."""

HEADINGS = (
    "batch",
    "backend",
    "precision",
    "threads",
    "one draw\nms (p99)",
    "all draws\nms (p99)",
    "consensus\nms (p99)",
    "consensus\nmean ms",
    "its\ndraws",
    "images/s:\none / all / consensus",
    "share of\nthe peak",
)


def lines(record: Record) -> Iterator[str | Table]:
    """Everything, in words and tables."""
    header, found = record.header, rows(record)
    flops = header["flops"]
    height, width = header["size"]
    yield f"model      {record.name}, images of {width}x{height} on {header['device']}"
    yield (
        f"flops      {flops['encoder'] / 1e6:,.1f}M an image in the encoder, "
        f"{flops['draw'] / 1e6:,.1f}M a draw"
    )
    yield (
        f"timing     at each batch size all take turns in {header['rounds']} rounds; "
        f"{header['consensus']['draws']} draws, or as many as the decision takes"
    )
    yield engine_table(found)
    if any(row.what == "peer" for row in found):
        yield peer_table(found)
    for judged in judge(record):
        yield target_line(judged)
    for row in choices(found):
        yield (
            f"chosen     batch {row.batch}, {row.precision}: {row.backend} on "
            f"{row.threads} threads (by the median of all draws)"
        )


def engine_table(found: list[Row]) -> Table:
    """One row an engine and batch size: medians, 99th percentiles, throughput, share of the
    peak."""
    table = Table(box=None, pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "backend" else "right")
    for row in found:
        if row.what != "draws":
            continue
        one, decided = (sibling(found, row, what) for what in ("draw", "consensus"))
        table.add_row(
            str(row.batch),
            row.backend,
            row.precision,
            str(row.threads),
            *(f"{each.median:.2f} ({each.p99:.2f})" for each in (one, row, decided)),
            f"{decided.mean:.2f}",
            f"{decided.draws:.1f}",
            f"{one.throughput:,.0f} / {row.throughput:,.0f} / {decided.throughput:,.0f}",
            f"{100 * share(found, row):.0f} %",
        )
    return table


def peer_table(found: list[Row]) -> Table:
    """One row a peer, and its time over ours: one draw of the best backend and of eager PyTorch,
    in which the peers run, and the consensus on average."""
    table = Table("peer", box=None, pad_edge=False)
    for heading in ("batch", "ms (p99)", "calls", "/ one draw", "/ one draw, eager", "/ consensus"):
        table.add_column(heading, justify="right")
    for row in found:
        if row.what == "peer":
            table.add_row(
                row.backend,
                str(row.batch),
                f"{row.median:.2f} ({row.p99:.2f})",
                str(len(row.series.ms)),
                *(_times(each) for each in over_ours(found, row).values()),
            )
    return table


def over_ours(found: list[Row], peer: Row) -> dict[str, Ratio | None]:
    """A peer's time over ours."""
    chosen = best(found, peer.batch, reference(found))
    eager = best(found, peer.batch, reference(found), EAGER)
    assert chosen is not None
    draw = None if eager is None else sibling(found, eager, "draw")
    return {
        "draw": ratio(peer.series, sibling(found, chosen, "draw").series),
        "eager_draw": None if draw is None else ratio(peer.series, draw.series),
        "consensus": ratio(
            peer.series, sibling(found, chosen, "consensus").series, statistic=np.mean
        ),
    }


def target_line(judged: Judged) -> str:
    """A target in words: what, the bound, the measured ratio, and whether it keeps the bound."""
    target, measured = judged.target, judged.ratio
    words = f"target     {target.words}, batch {target.batch}: "
    words += f"{'at most' if target.at_most else 'at least'} {target.bound:g}"
    if measured is None:
        return f"{words}; not timed"
    verdict = "reached" if judged.reached else "MISSED"
    return f"{words}; measured {_times(measured)}: {verdict}"


def choices(found: list[Row]) -> list[Row]:
    """The best backend at each batch size of ``CHOSEN_AT`` that was timed, in each precision."""
    precisions = dict.fromkeys(row.precision for row in found if row.what == "draws")
    rows_ = [best(found, batch, precision) for batch in CHOSEN_AT for precision in precisions]
    return [row for row in rows_ if row is not None]


def as_json(record: Record) -> dict[str, Any]:
    """The same as JSON values."""
    found = rows(record)
    return {
        "name": record.name,
        "device": record.header["device"],
        "flops": record.header["flops"],
        "timings": [_row_json(found, row) for row in found],
        "peers": {
            row.backend: {
                key: None if each is None else vars(each)
                for key, each in over_ours(found, row).items()
            }
            for row in found
            if row.what == "peer"
        },
        "targets": [target_json(judged) for judged in judge(record)],
        "chosen": [
            {name: getattr(row, name) for name in ("batch", "precision", "backend", "threads")}
            for row in choices(found)
        ],
        "warnings": record.header["warnings"],
    }


def _row_json(found: list[Row], row: Row) -> dict[str, Any]:
    own = ("batch", "what", "backend", "precision", "threads")
    return {name: getattr(row, name) for name in own} | {
        "calls": len(row.series.ms),
        "median_ms": row.median,
        "p99_ms": row.p99,
        "mean_ms": row.mean,
        "images_per_second": row.throughput,
        "draws": None if math.isnan(row.draws) else row.draws,
        "peak_share": share(found, row) if row.what in WHATS else None,
    }


def _times(measured: Ratio | None) -> str:
    if measured is None:
        return "\u2013"
    return f"{measured.value:,.3g} ({measured.low:,.3g}\u2013{measured.high:,.3g})"

"""Evaluations on the terminal: the protocol in words, the paper's table, verdicts, and what an
evaluation will take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from alp.cli.console import say, table
from alp.records import Record
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
from alp.report.tables import ABSENT, Cell, Published, Section, cells, columns

if TYPE_CHECKING:
    from alp.evaluation.planning import Estimate


def labelled(label: str, texts: Iterable[str]) -> Iterator[str]:
    """Lines of ``texts``, the first of which has the label before it."""
    for number, text in enumerate(texts):
        yield f"{'' if number else label:<11}{text}"


def protocol_lines(header: Mapping[str, Any], more: str = "") -> Iterator[str]:
    """Which images were attacked, with ``more`` about them, and how far."""
    data = header["data"]
    yield f"images     {header['images']:,} of {data['name']} ({data['split']}){more}"
    yield f"threat     {threat_words(header['threat'])}"


def span(seconds: float) -> str:
    """A length of time in the unit that people would use for it."""
    for limit, size, unit in ((90, 1, "second"), (5400, 60, "minute"), (172800, 3600, "hour")):
        if seconds < limit:
            return count(max(1, round(seconds / size)), unit)
    return count(round(seconds / 86400), "day")


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


def evaluation_lines(records: Sequence[Record]) -> Iterator[str]:
    """What was done and how, a line each."""
    header = records[0].header
    yield from protocol_lines(header, f", seed {header['seed']}")
    suite, rounds = suite_words(header), count(header["evaluations"], "prediction")
    yield f"verdict    suite {suite}: of an image's candidates the one least often right"
    yield f"           in {rounds}, judged by as many fresh ones"
    deployed = dict.fromkeys(each.header["extra"].get("deployed") for each in records)
    yield from (f"deployed   {words}" for words in deployed if words)
    levels = {level: words for each in records for level, words in each.header["knowledge"].items()}
    words = [f"{level}: {' '.join(each.split())}" for level, each in levels.items()]
    yield from labelled("attacker", words)
    entries = {each["name"]: each for record in records for each in record.header["entries"]}
    threat = header["threat"]
    words = [f"{each['level']}: {entry_words(each, threat)}" for each in entries.values()]
    yield from labelled("attacks", words)
    yield "numbers    below each accuracy its 95 % Wilson interval"


def verdict_table(conclusions: Sequence[Mapping[str, Any]]) -> Table:
    """One column a model, or one row a model where the terminal is wide enough."""
    levels = list(dict.fromkeys(level for each in conclusions for level in each["levels"]))
    rows = [["model", "clean", *levels, "worst case", "majority", "right every time", "checks"]]
    for each in conclusions:
        shares = [each["clean"], *(each["levels"].get(level) for level in levels)]
        shares += [each["worst"], each["majority"], each["worst_of_r"]]
        passed = sum(check["passed"] for check in each["checks"])
        name = f"{each['name']}\n{count(each['draws'], 'draw')}"
        rows.append([name, *map(_accuracy, shares), f"{passed} of {len(each['checks'])}"])
    return table(rows, ruled=True)


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


WORKERS = (1, 2, 4, 8, 64, 512)
"""Numbers of workers whose wall time is told."""

START = 10.0
"""Seconds that a worker takes to import torch, load its model and ask it for a few numbers."""


def plan_values(plans: Mapping[str, Estimate]) -> dict[str, Any]:
    """Name of each model to its estimate, as JSON values."""
    return {
        name: {
            "units": len(plan.every),
            "core_hours": plan.core_seconds / 3600,
            "threads": plan.threads,
            "memory_bytes": plan.memory,
            "wall_seconds": {str(n): plan.wall(n, START) for n in WORKERS},
        }
        for name, plan in plans.items()
    }


def plan_lines(plans: Mapping[str, Estimate]) -> Iterator[str]:
    """A few lines a model."""
    for name, plan in plans.items():
        yield (
            f"plan       {name}: {count(len(plan.every), 'unit')}, "
            f"{plan.core_seconds / 3600:.2f} core-hours"
        )
        yield (
            f"memory     {plan.memory / 2**20:,.0f} MiB a worker for weights, images, gradients, "
            "beside Python and torch"
        )
        walls = [f"{n}: {span(plan.wall(n, START))}" for n in WORKERS if n <= len(plan.every)]
        yield f"wall time  by workers of {count(plan.threads, 'thread')}  " + "   ".join(walls)

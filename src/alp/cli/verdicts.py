"""Verdicts on the terminal: the protocol in words, one table, and what the checks say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from alp.cli.console import width
from alp.cli.tables import COLUMN
from alp.evaluation.records import Record
from alp.report.table import ABSENT
from alp.report.words import count, entry_words, interval, percent, suite_words, threat_words


def protocol_lines(records: Sequence[Record]) -> Iterator[str]:
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

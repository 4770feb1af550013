"""Verdicts on the terminal: the protocol in words, one table, and what the checks say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from alp.cli.console import table
from alp.cli.words import labelled, protocol_lines
from alp.records import Record
from alp.report.format import count, entry_words, interval, percent, suite_words
from alp.report.tables import ABSENT


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

"""What attackers who only ask leave, on the terminal: a table over the number of questions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from alp.cli.console import table
from alp.cli.tables import labelled, protocol_lines
from alp.records import Record, conclude
from alp.report.format import asker_words, count, interval, percent
from alp.report.queries import differences, sentence


def query_lines(records: Sequence[Record]) -> Iterator[str]:
    """What was done and how, a line each."""
    header = records[0].header
    yield from protocol_lines(header, f", seed {header['seed']}")
    rounds = max(record.header["evaluations"] for record in records)
    yield f"queries    up to {header['queries']:,} answers of the model an image; each point is"
    yield f"           selected in {count(rounds, 'prediction')} and judged by as many fresh ones"
    deployed = dict.fromkeys(each.header["extra"].get("deployed") for each in records)
    yield from (f"deployed   {words}" for words in deployed if words)
    known = {key: words for each in records for key, words in each.header["knowledge"].items()}
    yield from labelled("attacker", [f"{sees}: {words}" for sees, words in known.items()])
    attackers: dict[str, None] = {}
    for record in records:
        attackers |= dict.fromkeys(asker_words(record.header))
    yield from labelled("attacks", attackers)
    yield "numbers    what the best attacker leaves, its 95 % interval, who it is, its answers k"


def curve_table(conclusions: Sequence[Mapping[str, Any]]) -> Table:
    """A column a checkpoint and a row a model, or the other way round where the terminal is
    narrow."""
    marks = [row["queries"] for row in conclusions[0]["curve"]]
    rows = [["model", "clean", *(f"{mark:,}" for mark in marks)]]
    for each in conclusions:
        clean = f"{percent(each['clean']['value'])}\n{interval(each['clean'])}"
        cells = [
            f"{percent(row['value'])}\n{interval(row)}\n{row['attacker']} x{row['answers']}"
            for row in each["curve"]
        ]
        rows.append([f"{each['name']}\n{count(each['draws'], 'draw')}", clean, *cells])
    return table(rows, ruled=True)


def query_sentences(records: Sequence[Record]) -> Iterator[str]:
    """What is left of each model, and the differences between models at equal questions."""
    for record in records:
        conclusion = conclude(record)
        yield f"verdict    {sentence(conclusion)}"
        yield from (f"  warning  {text}" for text in conclusion["warnings"])
    yield from labelled("difference", differences(records))

"""The tables of docs/leaderboard.md are those of the committed records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alp.records import conclude, read_tree
from alp.report.leaderboard import leaderboards

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results" / "cpu"

ASKED = {
    "cifar10-lite-standalone": "ALP standalone, 1 draw",
    "before-standard": "ALP, 1 draw, classifier as it is",
    "cifar10-lite": "A-ALP + AT, 1 draw",
    "cifar10-lite-adversarial": "adversarial training",
    "noise-025": "classifier trained under noise of 0.25, 1 draw",
    "jpeg": "JPEG, quality 75",
    "cifar10-lite-standard": "no defence",
}
"""Records of attackers who only ask, and what the table calls them."""


def tables(heading: str) -> list[list[list[str]]]:
    """The tables of a section of the page: rows of cells without marks of code, the headings
    first."""
    text = (ROOT / "docs" / "leaderboard.md").read_text("utf-8")
    section = text[text.index(heading) :].split("\n## ")[0]
    found: list[list[list[str]]] = [[]]
    for line in section.splitlines():
        if line.startswith("| "):
            found[-1].append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
        elif not line.startswith("|---") and found[-1]:
            found.append([])
    return [table for table in found if table]


def test_every_number_of_the_page_is_that_of_a_record() -> None:
    kept, refused = read_tree(RESULTS)
    assert not refused
    (board,) = leaderboards(kept)
    ((headings, *rows),) = tables("# The leaderboard")
    assert headings[0] == "defence"
    assert {"images", "clean", "single", "worst case", "checks"} <= set(headings)
    wanted = [
        [row["name"], *(row["cells"][each] for each in headings[1:])] for row in board["rows"]
    ]
    assert rows == wanted


def conclusions(folder: str) -> dict[str, dict[str, Any]]:
    """Name to conclusion of the records of a folder."""
    return {each.record.name: conclude(each.record) for each in read_tree(RESULTS / folder)[0]}


def left(curve: Sequence[dict[str, Any]], *marks: int) -> list[str]:
    """What is left at these numbers of queries, in per cent."""
    values = {row["queries"]: row["value"] for row in curve}
    return [f"{100 * values[mark]:.1f}" for mark in marks]


def asked() -> list[list[str]]:
    """The rows of the table of attackers who only ask."""
    rows = []
    found = conclusions("queries")
    for name, title in ASKED.items():
        told = found[name]
        best = told["alone"][-1]
        rows.append(
            [
                title,
                f"{100 * told['clean']['value']:.1f}",
                *left(told["alone"], 10, 100, 1000),
                f"{best['attacker']}, {best['answers']}",
                *left(told["curve"], 0, 100, 1000),
            ]
        )
    return rows


def test_every_number_of_attackers_who_only_ask_is_that_of_a_record() -> None:
    (headings, *rows), *_ = tables("## Attackers who only ask")
    assert headings[:5] == ["model", "clean", "10", "100", "1,000"]
    assert rows == asked()

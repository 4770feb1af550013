"""The table of docs/leaderboard.md is that of the committed records."""

from __future__ import annotations

from pathlib import Path

from alp.records import read_tree
from alp.report.leaderboard import leaderboards

ROOT = Path(__file__).parents[2]


def test_every_number_of_the_page_is_that_of_a_record() -> None:
    kept, refused = read_tree(ROOT / "results" / "cpu")
    assert not refused
    (board,) = leaderboards(kept)
    lines = (ROOT / "docs" / "leaderboard.md").read_text("utf-8").splitlines()
    table = [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in lines[: lines.index("## Make them")]
        if line.startswith("| ")
    ]
    headings, *rows = table
    assert headings[0] == "defence"
    assert {"images", "clean", "single", "worst case", "checks"} <= set(headings)
    wanted = [
        [row["name"], *(row["cells"][each] for each in headings[1:])] for row in board["rows"]
    ]
    assert rows == wanted

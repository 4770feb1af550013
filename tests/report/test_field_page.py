"""The table of docs/field.md is that of the committed records."""

from __future__ import annotations

from pathlib import Path

from alp.records import read_all
from alp.report.figures.attacks import NORMS, table

ROOT = Path(__file__).parents[2]
ABSENT = "\u2013"
DEFENCES = ("baseline", "ALP standalone", "AT", "A-ALP + AT")
PLACES = [(name, norm) for norm in NORMS for name in DEFENCES]


def lines() -> list[str]:
    """The table as the committed records have it."""
    records, refused = read_all(ROOT / "results" / "cpu" / "attacks" / "records")
    assert not refused
    heading = ["attack", "images", *(f"{name}, {NORMS[norm]}" for name, norm in PLACES)]
    rows = [f"| {' | '.join(heading)} |", "|---" * len(heading) + "|"]
    for attack, cells in table(records).items():
        (images,) = {cell.images for cell in cells.values()}
        shares = [
            f"{100 * cells[place].accuracy['value']:.1f}" if place in cells else ABSENT
            for place in PLACES
        ]
        rows.append(f"| {' | '.join([attack, str(images), *shares])} |")
    return rows


def test_every_number_of_the_page_is_that_of_a_record() -> None:
    text = (ROOT / "docs" / "field.md").read_text("utf-8")
    assert "\n".join(lines()) in text

"""The table of docs/field.md is that of the committed records."""

from __future__ import annotations

from pathlib import Path

from alp.experiments.toy import Toy
from alp.records import read_all
from alp.report.figures.attacks import CLEAN, NORMS, table

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
        images = max(cell.images for cell in cells.values())
        assert attack == CLEAN or {cell.images for cell in cells.values()} == {images}
        shares = [
            f"{100 * cells[place].accuracy['value']:.1f}" if place in cells else ABSENT
            for place in PLACES
        ]
        rows.append(f"| {' | '.join([attack, str(images), *shares])} |")
    return rows


def test_every_number_of_the_page_is_that_of_a_record() -> None:
    text = (ROOT / "docs" / "field.md").read_text("utf-8")
    assert "\n".join(lines()) in text


def test_the_problem_in_closed_form_is_quoted_right() -> None:
    toy = Toy()
    accurate, robust = toy.optimum(), toy.optimum(2 * toy.mean)
    shares = [toy.accuracy(accurate), toy.accuracy(accurate, 2 * toy.mean), toy.accuracy(robust)]
    assert toy.accuracy(robust, 2 * toy.mean) == shares[2]
    text = " ".join((ROOT / "docs" / "field.md").read_text("utf-8").split())
    first, second, third = (f"{100 * share:.1f} %" for share in shares)
    assert f"has {first} right, and {second} under an attack of twice the mean" in text
    assert f"has {third} right, attacked or not" in text

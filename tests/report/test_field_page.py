"""The tables of docs/field.md are those of the committed records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from alp.experiments.toy import Toy
from alp.records import KIND_CHAINS, KIND_POINTS, Measured, Record, measured, read_all
from alp.records.chains import after_each_step, amplification
from alp.records.points import mean
from alp.report.figures.attacks import NORMS
from alp.report.figures.attacks import table as attack_table
from alp.report.figures.robustness_cost import trained_at
from alp.report.format import grey_levels

ROOT = Path(__file__).parents[2]
ABSENT = "\u2013"
DEFENCES = ("baseline", "ALP standalone", "AT", "A-ALP + AT")
PLACES = [(name, norm) for norm in NORMS for name in DEFENCES]


def lines() -> list[str]:
    """The table as the committed records have it."""
    records = records_of("attacks")
    heading = ["attack", "images", *(f"{name}, {NORMS[norm]}" for name, norm in PLACES)]
    rows = []
    for attack, cells in attack_table(records).items():
        images = max(cell.images for cell in cells.values())
        assert {cell.images for cell in cells.values()} == {images}
        shares = [
            f"{100 * cells[place].accuracy['value']:.1f}" if place in cells else ABSENT
            for place in PLACES
        ]
        rows.append([attack, str(images), *shares])
    return written(heading, rows)


def records_of(item: str) -> list[Record]:
    """The committed records of an experiment."""
    records, refused = read_all(ROOT / "results" / "cpu" / item / "records")
    assert not refused
    return records


def written(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table of Markdown."""
    cells = [f"| {' | '.join(row)} |" for row in (heading, *rows)]
    return [cells[0], "|---" * len(heading) + "|", *cells[1:]]


def share(point: Measured) -> str:
    return f"{100 * point.accuracy.value:.1f}"


def radii() -> list[str]:
    """What small classifiers keep, by the radius of their training: mean and deviation over the
    seeds."""
    points = [each for each in records_of("robustness-cost") if each.kind == KIND_POINTS]
    found = trained_at(points)
    attacks = list(next(iter(found.values())))
    heading = ["trained at", *(f"under {grey_levels(eps)}" if eps else "clean" for eps in attacks)]
    rows = []
    for eps, shares in found.items():
        seeds = [measured(each) for each in points if each.header["extra"]["trained_eps"] == eps]
        assert len(seeds) == 3
        row = [grey_levels(eps) if eps else "0"]
        for attacked, (value, *cell) in zip(
            attacks, zip(shares.values(), *seeds, strict=True), strict=True
        ):
            assert {each.eps for each in cell} == {attacked}
            deviation = np.std([each.accuracy.value for each in cell], ddof=1)
            row.append(f"{100 * value.value:.1f} \u00b1 {100 * deviation:.1f}")
        rows.append(row)
    return written(heading, rows)


def architectures() -> list[str]:
    """What architectures keep, by the radius of the attack."""
    records = records_of("architectures")
    attacks = [point.eps for point in measured(records[0])]
    heading = ["architecture, training", "parameters"]
    heading += [grey_levels(eps) if eps else "clean" for eps in attacks]
    rows = [
        [each.name, f"{each.header['extra']['parameters']:,}", *map(share, measured(each))]
        for each in records
    ]
    return written(heading, rows)


def chains() -> list[str]:
    """What few bits do to a purifier by diffusion."""
    records = records_of("quantisation")
    grown = {each.name: each for each in records if each.kind == KIND_CHAINS}
    lengths = next(iter(grown.values())).header["lengths"]
    heading = ["model", "PSNR", "clean", "`single`", "`bpda`"]
    heading += [f"amplification, {each} steps" for each in lengths]
    rows = []
    for each in (each for each in records if each.kind == KIND_POINTS):
        clean, *attacked = measured(each)
        row = [each.name, f"{mean(clean.psnr).value:.2f} dB", *map(share, [clean, *attacked])]
        for steps in lengths:
            found = amplification(grown[each.name], int(steps)) if each.name in grown else None
            row.append("" if found is None else f"{mean(found).value:.2f}")
        rows.append(row)
    return written(heading, rows)


@pytest.mark.parametrize("table", [lines, radii, architectures, chains])
def test_every_number_of_the_page_is_that_of_a_record(table: Callable[[], list[str]]) -> None:
    text = (ROOT / "docs" / "field.md").read_text("utf-8")
    assert "\n".join(table()) in text


def test_what_few_bits_do_is_quoted_right() -> None:
    records = records_of("quantisation")
    psnr = {each.name: measured(each)[0].psnr for each in records if each.kind == KIND_POINTS}
    steps = {each.name: each for each in records if each.kind == KIND_CHAINS}
    learned = "DiffPure, w4a8-reconstructed"
    won = mean(psnr[learned] - psnr["DiffPure, w4a8-minmax"])
    lost = mean(psnr["DiffPure"] - psnr["DiffPure, w4a8-minmax"]).value
    text = " ".join((ROOT / "docs" / "field.md").read_text("utf-8").split())
    assert f"wins back {won.value:.1f} of the {lost:.1f} dB of PSNR" in text
    assert f"that plain rounding loses ({won.low:.2f} to {won.high:.2f})" in text
    plain, reconstructed = (
        mean(psnr["DiffPure"] - psnr[f"DiffPure, w8a8-{method}"]).value
        for method in ("minmax", "reconstructed")
    )
    words = (
        f"Eight bits cost {plain:.1f} dB; with learned rounding they cost {reconstructed:.2f} dB"
    )
    assert words in text
    apart, alone = (
        after_each_step(steps[learned], what)[-1].mean() for what in ("difference", "fresh")
    )
    words = (
        f"adds {alone:.4f} (root mean square over pixels in [-1,1]) to a difference of {apart:.4f}"
    )
    assert words in text
    grown = [
        mean(amplification(steps[name], 100)).value for name in (learned, "DiffPure, w4a8-minmax")
    ]
    assert "the difference is {:.1f} to {:.1f} times what".format(*grown) in text


def test_the_problem_in_closed_form_is_quoted_right() -> None:
    toy = Toy()
    accurate, robust = toy.optimum(), toy.optimum(2 * toy.mean)
    shares = [toy.accuracy(accurate), toy.accuracy(accurate, 2 * toy.mean), toy.accuracy(robust)]
    assert toy.accuracy(robust, 2 * toy.mean) == shares[2]
    text = " ".join((ROOT / "docs" / "field.md").read_text("utf-8").split())
    first, second, third = (f"{100 * share:.1f} %" for share in shares)
    assert f"has {first} right, and {second} under an attack of twice the mean" in text
    assert f"has {third} right, attacked or not" in text

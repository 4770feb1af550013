"""The tables of docs/certificates.md are those of the committed records."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from alp.records import Record, read, robust_share
from alp.records.certificates import summarise_certificates

ROOT = Path(__file__).parents[2]
FIRST = "cifar10-certified"
WAYS = {
    FIRST: ("trained under noise (`cifar10-certified`)", "70 min"),
    "cifar10-certified-certified-adversarial": ("trained on attacked images under noise", "40 min"),
    "denoised-adversarial": ("a denoiser before `adversarial`, which stays as it is", "17 min"),
    "denoised": ("a denoiser before `standard`, which stays as it is", "16 min"),
    "cifar10-lite-adversarial": ("`adversarial` alone", "none"),
    "cifar10-lite-standard": ("`standard` alone", "none"),
}
"""Record to what it is called, and what was trained for it on one core."""


CASCADE = {
    FIRST: ("the full classifier (`cifar10-certified`)", "70 min"),
    "light": ("the light one (`tiny`)", "13 min"),
    "cascade": ("the light one, then the full one", "none"),
}


def lines(folder: str, ways: Mapping[str, tuple[str, str]]) -> list[str]:
    """The table as the committed records have it."""
    records = ROOT / "results" / "cpu" / folder / "records"
    first = read(records / FIRST)
    heading = ["way", "at 0", "at 0.25", "at 0.5", "paired at 0.25", "paired at 0.5"]
    heading += ["votes an image", "training"]
    rows = [f"| {' | '.join(heading)} |", "|---" * len(heading) + "|"]
    for name, (words, cost) in ways.items():
        beside = None if name == FIRST else first
        told = summarise_certificates(read(records / name), beside=beside)
        assert (told["images"], told["budget"], told["sigma"]) == (300, 5_000, 0.25)
        assert [row["radius"] for row in told["certified"]] == [0, 0.25, 0.5]
        shares = [f"{100 * row['value']:.1f} %" for row in told["certified"]]
        paired = [_points(row.get("paired")) for row in told["certified"][1:]]
        votes = f"{told['votes']:,.0f}"
        rows.append(f"| {' | '.join([words, *shares, *paired, votes, cost])} |")
    return rows


def _points(paired: dict[str, float] | None) -> str:
    if paired is None:
        return ""
    value, low, high = (100 * paired[key] for key in ("value", "low", "high"))
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"


@pytest.mark.parametrize(
    ("folder", "ways"), [("certificates-ways", WAYS), ("certificates-cascade", CASCADE)]
)
def test_every_number_of_the_page_is_that_of_a_record(
    folder: str, ways: Mapping[str, tuple[str, str]]
) -> None:
    text = (ROOT / "docs" / "certificates.md").read_text("utf-8")
    assert "\n".join(lines(folder, ways)) in text


def test_what_a_denoiser_adds_is_quoted_right() -> None:
    records = ROOT / "results" / "cpu" / "certificates-ways" / "records"
    text = " ".join((ROOT / "docs" / "certificates.md").read_text("utf-8").split())
    added = []
    for alone, denoised in (("adversarial", "denoised-adversarial"), ("standard", "denoised")):
        told = summarise_certificates(
            read(records / denoised), beside=read(records / f"cifar10-lite-{alone}")
        )
        added.append([f"{100 * row['paired']['value']:.1f}" for row in told["certified"]])
    (first, _, last), (usual, _, usual_last) = added
    assert f"adds {first} points to it at the radius 0 and {last} at 0.5" in text
    assert f"trained as usual it adds {usual} and {usual_last}" in text


def test_densepure_is_quoted_right() -> None:
    """And the denoiser that was trained for the classifier, on the same images."""
    text = " ".join((ROOT / "docs" / "certificates.md").read_text("utf-8").split())
    pure = read(ROOT / "results/cpu/certificates-densepure/records/densepure")
    at = summarise_certificates(pure)["certified"]
    zero, quarter, half = (f"{100 * row['value']:.1f} %" for row in at)
    low, high = (f"{100 * at[2][end]:.1f}" for end in ("low", "high"))
    words = (
        f"certifies {zero} at the radius 0, {quarter} at 0.25 and {half} at 0.5 ({low} to {high};"
    )
    assert words in text
    denoised = read(ROOT / "results/cpu/certificates-ways/records/denoised")
    same = np.isin(denoised.columns["index"], pure.columns["index"])
    assert same.sum() == len(pure)
    columns = {name: column[same] for name, column in denoised.columns.items()}
    at = summarise_certificates(Record(denoised.header, columns))["certified"]
    zero, quarter, half = (f"{100 * row['value']:.1f}" for row in at)
    assert f"certifies {zero}, {quarter} and {half} %, with at most 5,000 votes" in text


def test_one_step_is_quoted_right() -> None:
    """Beside DensePure, on the same images."""
    records = ROOT / "results" / "cpu" / "certificates-densepure" / "records"
    told = summarise_certificates(read(records / "one-step"), beside=read(records / "densepure"))
    shares = [f"{100 * row['value']:.1f}" for row in told["certified"]]
    paired = [row["paired"] for row in told["certified"]]
    text = " ".join((ROOT / "docs" / "certificates.md").read_text("utf-8").split())
    words = "On the same images it certifies {}, {} and {} %: a paired difference to DensePure of "
    gains = [f"{100 * each['value']:+.1f}" for each in paired]
    assert words.format(*shares) + "{}, {} and {} points".format(*gains) in text
    assert all(-0.04 < each["low"] < 0 < each["high"] < 0.04 for each in paired)


ATTACKED = {
    ("l2-025", "smoothing-012"): "certificates-012/records/smoothing-012",
    ("l2-025", "cifar10-certified-certified"): f"certificates-whole/records/{FIRST}",
    ("l2-05", "cifar10-certified-certified"): f"certificates-whole/records/{FIRST}",
    ("l2-025", "cifar10-certified-certified-half"): f"certificates-half/records/{FIRST}",
    ("l2-05", "cifar10-certified-certified-half"): f"certificates-half/records/{FIRST}",
}
"""Folder and record of votes under attack in L2, to the record of their certificates."""


def bounds() -> list[str]:
    """What is certified of the images that were attacked, beside what is left of them."""
    rows = [["noise", "radius", "certified", "left by attackers", "certified and broken"]]
    for (folder, name), proofs in ATTACKED.items():
        verdict = read(ROOT / "results" / "cpu" / folder / "records" / name)
        proof = read(ROOT / "results" / "cpu" / proofs)
        assert proof.header["sigma"] == verdict.header["sigma"]
        assert proof.header["weights"]["model"] == verdict.header["weights"]["model"]
        count, radius = len(verdict), verdict.header["threat"]["eps"]
        columns = {key: column[:count] for key, column in proof.columns.items()}
        assert (columns["label"] == verdict.columns["label"]).all(), "the same images come first"
        sure = (columns["selected"] == columns["label"]) & (columns["radius"] >= radius)
        left = robust_share(verdict)
        assert sure.mean() <= left.mean()
        broken = int((sure & (left < 1)).sum())
        shares = [f"{100 * each.mean():.1f} %" for each in (sure, left)]
        rows.append([f"{proof.header['sigma']}", f"{radius}", *shares, f"{broken}"])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]


def test_no_attacker_breaks_what_is_certified() -> None:
    text = (ROOT / "docs" / "certificates.md").read_text("utf-8")
    lines = bounds()
    assert all(line.split(" | ")[-1] == "0 |" for line in lines[2:])
    assert "\n".join(lines) in text

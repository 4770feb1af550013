"""What the page says first."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from alp.experiments.findings import judge
from alp.experiments.overview import PUBLISHED, SERIES, WORST, overview
from alp.records import Kept, read_tree

RESULTS = Path(__file__).parents[2] / "results" / "cpu"


@pytest.fixture(scope="module")
def kept() -> list[Kept]:
    return read_tree(RESULTS)[0]


def test_the_chart_has_the_paper_beside_what_was_measured(kept) -> None:
    found = overview(kept, judge(kept))
    assert list(found.chart) == ["baseline", "ALP standalone", "AT", "A-ALP + AT"]
    both = found.chart["A-ALP + AT"]
    assert list(both) == [PUBLISHED, *SERIES.values(), WORST]
    assert (both[PUBLISHED].value, both[PUBLISHED].low) == (32.06, None)
    judged = {each.id: each for each in judge(kept)}
    single, *_ = judged["hierarchy.a-alp-at.robust"].findings
    mark = both[SERIES["single"]]
    assert mark.value == single.value
    assert mark.low < mark.value < mark.high
    assert list(found.chart["AT"]) == [PUBLISHED, SERIES["single"], WORST], "no purifier"


def test_every_number_in_its_sentences_is_one_of_the_claims(kept) -> None:
    """What is said follows the records: no number stands in a sentence of its own."""
    judged = judge(kept)
    told = [text for each in judged for f in each.findings for text in (f.words, f.interval)]
    told += [each.published for each in judged]
    known = set(re.findall(r"[\d.]+\d", " ".join(told)))
    found = overview(kept, judged)
    sentences = " ".join((*found.claimed, *found.true[:-1], *found.why))
    assert set(re.findall(r"[\d.]+\d", sentences)) <= known
    other = [
        replace(each, findings=tuple(replace(f, words="17.5 points") for f in each.findings))
        for each in judged
    ]
    assert "17.5 points" in overview(kept, other).true[0]


def test_without_a_number_nothing_is_said(kept) -> None:
    part = [each for each in kept if each.item != "honest"]
    assert overview(part, judge(part)) is None
    assert overview([], []) is None


def test_the_compact_latent_is_named_where_it_gives_the_papers_numbers(kept) -> None:
    judged = judge(kept)
    words = "A latent of a third of a picture's values"
    said = overview(kept, judged).why[-1]
    assert words in said
    (worst,) = (
        finding
        for each in judged
        if each.id == "hierarchy.gain"
        for finding in each.findings
        if finding.protocol == "worst case, compact"
    )
    assert worst.value < -20, "a loss, which has to be said beside the paper's numbers"
    assert said.endswith(f"In the worst case it is {-worst.value:.2f} points below AT alone.")
    others = [each for each in kept if each.item != "compact"]
    assert words not in overview(others, judge(others)).why[-1]
    away = [
        replace(e, findings=tuple(replace(f, holds=False) for f in e.findings))
        if e.id == "sigma.mean"
        else e
        for e in judged
    ]
    assert words not in overview(kept, away).why[-1]
    unjudged = [
        replace(e, findings=tuple(f for f in e.findings if f != worst))
        if e.id == "hierarchy.gain"
        else e
        for e in judged
    ]
    assert words not in overview(kept, unjudged).why[-1]


def test_a_compact_latent_that_gains_is_said_to_be_above(kept) -> None:
    better = [
        replace(
            e,
            findings=tuple(
                replace(f, value=1.5, words="1.50 points") if "compact" in f.protocol else f
                for f in e.findings
            ),
        )
        if e.id == "hierarchy.gain"
        else e
        for e in judge(kept)
    ]
    assert "it is 1.50 points above AT alone." in overview(kept, better).why[-1]

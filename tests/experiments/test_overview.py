"""What the page says first."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from alp.experiments.findings import judge
from alp.experiments.overview import PUBLISHED, SERIES, WORST, overview
from alp.records import Kept, read_tree
from alp.report.claims import OWN, totals

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


def test_every_number_in_its_sentences_is_that_of_its_own_claim(kept) -> None:
    """What is said follows the records: no number stands for another claim, or for none."""
    judged = judge(kept)
    found = {each.id: each for each in judged}

    def of(claim: str, protocol: str = "") -> tuple[str, str]:
        (one,) = (each for each in found[claim].findings if each.protocol == protocol)
        return one.words, one.interval

    told = {key: each.published for key, each in found.items()}
    gain, worst, alone = (
        "{} ({})".format(*of(*each))
        for each in (
            ("hierarchy.gain", "single"),
            ("hierarchy.gain", "worst case"),
            ("zero-shot.gain", "worst case"),
        )
    )
    compact = of("hierarchy.gain", "worst case, compact")[0].lstrip("\u2212")
    sizes = {
        item: len(next(e.record for e in kept if e.item == item and e.record.kind == "verdict"))
        for item in ("honest", "compact")
    }
    theirs = [each for each in judged if each.place != OWN]
    said = [
        f"it keeps {told['hierarchy.alp.robust']} right",
        f"an undefended classifier keeps {told['hierarchy.baseline.robust']},",
        f"(AT) from {told['hierarchy.at.robust']} to "
        f"{told['hierarchy.a-alp-at.robust'].split(',')[0]}.",
        f"a sigma of {told['tradeoff.optimum']} protects best",
        f"training finds {told['sigma.mean']} by itself",
        f"from AT alone by {gain} under the paper's attack",
        f"by {worst} in the worst case",
        f"The paper says {told['hierarchy.gain']}.",
        f"is worth {alone} in the worst case",
        f"suite quick, {sizes['honest']} images",
        f"stop-gradient takes {of('masking.protects', 'masked')[0]} from",
        f"the worst case {of('masking.protects', 'worst case')[0]}.",
        f"on {of('masking.differentiable')[0].removesuffix(' agreement')} of the images",
        f"AT alone keeps {of('hierarchy.at.robust', 'single')[0]} here, and "
        f"{told['hierarchy.at.robust']} in the paper",
        f"Sigma ({of('sigma.mean')[0]} here)",
        f"the paper's sigma ({of('sigma.mean', 'compact')[0]})",
        f"({of('hierarchy.a-alp-at.robust', 'single, compact')[0]} for purifier and AT)",
        f"is {compact} below AT alone in the worst case ({sizes['compact']} images)",
        f"Of {len(theirs)} claims: {', '.join(words for _, words in totals(judged))}.",
    ]
    made = overview(kept, judged)
    left = " ".join((*made.claimed, *made.true, *made.why))
    for words in said:
        assert left.count(words) == 1, words
        left = left.replace(words, "")
    assert re.findall(r"\d\S*", left) == []


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
    loss = f"is {-worst.value:.2f} points below AT alone in the worst case (256 images)."
    assert said.endswith(loss)
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
    assert "is 1.50 points above AT alone in the worst case" in overview(kept, better).why[-1]

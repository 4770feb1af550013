"""Experiments that were run once have one trial; a further one makes means, and breaks nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alp.experiments.claims import claims
from alp.experiments.findings import COMMANDS, judge
from alp.experiments.overview import WORST, overview
from alp.records import KIND_BENCH, KIND_VERDICT, Kept, Record, read_tree
from alp.report.claims import Judged

RESULTS = Path(__file__).parents[2] / "results" / "cpu"
OF_TRIALS = {"spread", "deviation", "psnr spread"}
"""Quantities that are about how far trials are apart."""

APART = set(COMMANDS)
"""Records of commands, which have no trials."""


@pytest.fixture(scope="module")
def kept() -> list[Kept]:
    return read_tree(RESULTS)[0]


def again(each: Kept, trial: int, **header) -> Kept:
    """The same as another trial."""
    record = Record({**each.record.header, "trial": trial, **header}, each.record.columns)
    return replace(each, path=each.path.replace(".json", f"-again-{trial}.json"), record=record)


def once(kept: list[Kept]) -> set[str]:
    """The experiments of one trial; timings have rounds in place of trials."""
    trials: dict[str, set[int]] = {}
    for each in (each for each in kept if each.record.kind != KIND_BENCH):
        trials.setdefault(each.item, set()).add(each.record.header.get("trial", 0))
    return {item for item, found in trials.items() if item and len(found) == 1} - APART


def values(judged: list[Judged]) -> dict[tuple[str, str], float]:
    return {(each.id, f.protocol): f.value for each in judged for f in each.findings}


def test_a_second_trial_that_says_the_same_changes_no_claim(kept) -> None:
    alone = judge(kept)
    items = once(kept)
    assert {"honest", "tsne", "unmodified", "consensus", "tradeoff", "spectra"} <= items
    twice = judge([*kept, *(again(each, 1) for each in kept if each.item in items)])
    repeated = {
        (each.id, protocol)
        for each in twice
        for protocol, times in Counter(f.protocol for f in each.findings).items()
        if times > 1
    }
    assert repeated == set()
    skipped = {claim.id for claim in claims() if claim.quantity in OF_TRIALS}
    before, after = (
        {key: value for key, value in values(judged).items() if key[0] not in skipped}
        for judged in (alone, twice)
    )
    assert after == pytest.approx(before)


def test_the_chart_and_the_worst_case_average_over_trials(kept) -> None:
    """Of a trial that loses every image the mean is half of the first trial's."""

    def lost(each: Kept) -> Kept:
        columns = {
            name: np.zeros_like(column) if name.endswith(("_select", "_fresh")) else column
            for name, column in each.record.columns.items()
        }
        made = again(each, 1)
        return replace(made, record=Record(made.record.header, columns))

    mine = [each for each in kept if each.item == "honest" and each.record.kind == KIND_VERDICT]
    first, second = (
        overview(records, judge(records)) for records in (kept, [*kept, *map(lost, mine)])
    )
    assert first.chart["AT"][WORST].value > 0
    for name, marks in first.chart.items():
        assert second.chart[name][WORST].value == pytest.approx(marks[WORST].value / 2)


def test_rows_of_unlike_numbers_of_trials_are_timed_in_those_that_both_have(kept) -> None:
    def of(name: str) -> dict[int, Kept]:
        table = (each for each in kept if each.item == "hierarchy" and each.record.name == name)
        return {each.record.header["trial"]: each for each in table}

    def median(each: Kept) -> float:
        return float(each.record.header["latency"]["predict"]["median_ms"])

    alone, bare = of("ALP standalone"), of("AT")
    shared = [trial for trial in alone if trial in bare]
    missing = [each for each in kept if each.record is not bare[shared[0]].record]
    for records, trials in ((kept, shared), (missing, shared[1:])):
        (found,) = next(e for e in judge(records) if e.id == "latency.purifier").findings
        ratios = [median(alone[trial]) / median(bare[trial]) for trial in trials]
        assert found.value == pytest.approx(np.mean(ratios))

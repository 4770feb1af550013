"""From a record to numbers, targets and the backend to choose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alp.errors import RecordError
from alp.records import Record
from alp.records.statistics import Series
from alp.records.timings import TARGETS, best, judge, peak, rows, share, sibling


def ratios(record: Record) -> dict[str, float | None]:
    return {
        each.target.words: None if each.ratio is None else each.ratio.value
        for each in judge(record)
    }


def test_the_best_backend_is_chosen_by_all_draws(bench_record) -> None:
    chosen = best(rows(bench_record), 1, "float32")
    assert chosen.backend == "fast"
    assert best(rows(bench_record), 64, "float32") is None
    assert best(rows(bench_record), 1, "int8") is None
    assert best(rows(bench_record), 1, "float32", "eager").backend == "eager"


def test_every_target_is_a_ratio_of_the_raw_timings(bench_record) -> None:
    assert ratios(bench_record) == {
        "all draws / one draw": 8,
        "sequential consensus / one draw, mean": 2,
        "published 100-step diffusion / one draw": 900,
        "published 100-step diffusion / consensus, mean": 450,
        "eager PyTorch / best backend, one draw": 2,
        "eager PyTorch / best backend, consensus": 6,
        "eager PyTorch / best backend, all draws": 2.75,
        "share of the matrix peak, all draws": None,
    }
    reached = [each.reached for each in judge(bench_record)]
    assert reached == [False, True, False, True, True, True, True, None]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.words)
def test_a_target_can_be_missed_and_reached(target, bench_record_of) -> None:
    """So that no verdict is a constant: the same record with one time a hundredfold."""
    times = {"draw": 1.0, "draws": 4.0, "consensus": 2.0}
    base = {
        (target.batch, what, backend): [ms * factor] * 3
        for what, ms in times.items()
        for backend, factor in (("eager", 3), ("fast", 1))
    }
    base |= {
        (target.batch, "peak", ""): [4.0] * 3,
        (target.batch, "peer", "published-diffpure"): [2e3] * 3,
    }

    def verdict(what: str, backend: str, factor: float) -> bool | None:
        key = (target.batch, what, backend)
        changed = base | {key: [value * factor for value in base[key]]}
        (found,) = (each for each in judge(bench_record_of(changed)) if each.target is target)
        return found.reached

    verdicts = {
        verdict(what, backend, factor) for _, what, backend in base for factor in (0.001, 1, 1000)
    }
    assert {True, False} <= verdicts


def test_share_of_the_peak(bench_record) -> None:
    """3,000 operations in 8 ms beside 6,000 in 4."""
    found = rows(bench_record)
    chosen = best(found, 1, "float32")
    assert chosen.flops == 3000
    assert share(found, chosen) == pytest.approx(0.25)
    one = sibling(found, chosen, "draw")
    assert share(found, one) == pytest.approx((1100 / 1) / (6000 / 4))
    (peer,) = (row for row in found if row.what == "peer")
    assert np.isnan(share(found, peer))


def test_the_peak_is_the_fastest_product(bench_record, bench_record_of) -> None:
    """One of as many operations in half the time, and one of another number of threads."""
    found = rows(bench_record)
    chosen = best(found, 1, "float32")
    (slow,) = (row for row in found if row.what == "peak")
    fast = replace(slow, series=Series(slow.series.rounds, slow.series.ms / 2))
    other = replace(fast, threads=1, flops=1e9)
    assert peak([*found, fast, other], chosen) is fast
    assert share([*found, fast, other], chosen) == pytest.approx(0.125)


def test_throughput_of_the_consensus_is_its_mean(bench_record) -> None:
    found = rows(bench_record)
    assert sibling(found, best(found, 1, "float32"), "consensus").throughput == 500


def test_throughput_and_percentiles(bench_record_of) -> None:
    record = bench_record_of({(4, "draws", "eager"): [2.0] * 99 + [102.0], (4, "peak", ""): [1.0]})
    (row, _) = rows(record)
    assert row.throughput == 2000
    assert row.median == 2
    assert row.mean == 3
    assert 2 < row.p99 < 102


def test_another_record_is_refused(bench_record) -> None:
    with pytest.raises(RecordError, match="of the kind 'verdict'"):
        rows(Record({"kind": "verdict", "name": "x"}, bench_record.columns))
    columns = {name: values for name, values in bench_record.columns.items() if name != "ms"}
    with pytest.raises(RecordError, match="lacks ms"):
        rows(Record(bench_record.header, columns))

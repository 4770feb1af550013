"""Claims of latency and speed, on records made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from made import CIFAR10, found, kept

from alp.records import Kept, Record


def test_latencies_are_compared_as_ratios_trial_by_trial(make_record) -> None:
    def timed(name: str, ms: float, trial: int) -> Kept:
        latency = {"predict": {"median_ms": ms}, "images": 1, "device": "cpu", "threads": 1}
        return kept(make_record(name, trial=trial, latency=latency), "hierarchy", trial)

    records = [timed("A-ALP + AT", ms, n) for n, ms in enumerate((22.0, 24.0))]
    records += [timed("ALP standalone", 2.0, n) for n in range(2)] + [timed("AT", 0.5, 0)]
    (draws,) = found(records, "latency.draws").findings
    assert (draws.value, draws.words, draws.holds) == (11.5, "11.5\u202f\u00d7", True)
    assert draws.protocol == "1 image, cpu, 1 thread"
    (purifier,) = found(records, "latency.purifier").findings
    assert purifier.value == 4, "the row that was trained once stands beside each trial"
    assert not purifier.holds


def test_speed_is_a_ratio_of_medians() -> None:
    contestants = {
        "one": {"what": "draw", "backend": "eager", "threads": 1},
        "all": {"what": "draws", "backend": "eager", "threads": 1},
        "slow": {"what": "draw", "backend": "onnxruntime", "threads": 1},
        "fast": {"what": "draw", "backend": "openvino", "threads": 1},
        "peer published": {
            "what": "peer",
            "peer": "published-diffpure",
            "settings": {"steps": 100},
        },
        "peer trained": {"what": "peer", "peer": "diffpure", "settings": {"steps": 100}},
    }
    times = {
        "one": 2.0,
        "all": 6.0,
        "slow": 9.0,
        "fast": 0.5,
        "peer published": 1000.0,
        "peer trained": 900.0,
    }
    names = [name for name in contestants for _ in range(5)]
    columns = {
        "batch": np.ones(len(names), int),
        "contestant": np.array(names),
        "round": np.tile(np.arange(5), len(contestants)),
        "ms": np.array([times[name] for name in names]),
    }
    header = {"kind": "bench", "name": "b", "contestants": contestants, **CIFAR10}
    bench = Kept("bench.json", Record(header, columns))
    one = found([bench], "speed.diffusion")
    assert [(each.protocol, each.value) for each in one.findings] == [
        ("published, one draw, eager", 500.0),
        ("published, all draws, eager", pytest.approx(1000 / 6)),
        ("trained here, one draw, eager", 450.0),
        ("trained here, all draws, eager", 150.0),
        ("published, one draw, OpenVINO", 2000.0),
        ("trained here, one draw, OpenVINO", 1800.0),
    ], "within one backend first; a backend that is slower says nothing"
    assert [each.holds for each in one.findings] == [True] * 4 + [False] * 2
    (draws,) = found([bench], "latency.draws").findings
    assert (draws.protocol, draws.value) == ("eager PyTorch, by turns", 3.0)
    for peer in ("peer published", "peer trained"):
        contestants[peer]["settings"]["steps"] = 4
    short = Kept("bench.json", Record({**header, "contestants": contestants}, columns))
    assert found([short], "speed.diffusion").findings == (), "four steps are no iterative purifier"

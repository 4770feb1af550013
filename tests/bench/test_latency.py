from __future__ import annotations

import json

import pytest
import torch

from alp.bench import latency
from alp.bench.latency import measure, profile
from alp.defences.base import Defence
from alp.errors import ConfigError
from alp.seeding import normal


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only where a test lets it: a list with the seconds since the start."""
    now = [0.0]
    monkeypatch.setattr(latency, "perf_counter", lambda: now[0])
    return now


def test_warm_up_is_not_measured_and_an_outlier_does_not_move_the_median(clock):
    durations = iter([5.0, 5.0, *[0.001 * n for n in range(1, 11)], 9.0])

    def call():
        clock[0] += next(durations)

    taken = measure(call, warmup=2, repeats=11)
    assert taken.median_ms == pytest.approx(6)
    assert taken.p10_ms == pytest.approx(2)
    assert taken.p90_ms == pytest.approx(10)
    assert taken.repeats == 11
    assert next(durations, None) is None


def test_an_accelerator_is_waited_for_inside_the_measurement(clock, monkeypatch):
    def wait(device):
        assert device == "cuda"
        clock[0] += 0.25

    monkeypatch.setattr(torch.accelerator, "synchronize", wait)
    assert measure(lambda: None, warmup=0, repeats=3, device="cuda").median_ms == pytest.approx(250)


@pytest.mark.parametrize(("warmup", "repeats"), [(-1, 1), (0, 0)])
def test_impossible_counts_are_refused(warmup, repeats):
    with pytest.raises(ConfigError, match=str(repeats)):
        measure(lambda: None, warmup, repeats)


class Counting(Defence):
    """Noise as logits; it counts its predictions."""

    predictions = 0

    def sample(self, state, source, draws):
        return normal((draws, len(state), 3), source)

    def predict(self, x, source, draws):
        self.predictions += 1
        return super().predict(x, source, draws)


def test_profile_of_a_defence_is_json(new_images):
    defence = Counting().eval()
    found = json.loads(json.dumps(profile(defence, new_images(2, 8, 8), warmup=1, repeats=2)))
    assert found["images"] == 2
    assert found["device"] == "cpu"
    assert found["threads"] == torch.get_num_threads()
    assert found["predict"]["repeats"] == found["draw"]["repeats"] == 2
    assert defence.predictions == 3

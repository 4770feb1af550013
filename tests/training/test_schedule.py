"""The shape of the learning rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alp.training.loop import factor


@given(total=st.integers(1, 300), warmup=st.floats(0, 1))
def test_linear_up_then_down_within_bounds(total: int, warmup: float) -> None:
    factors = [factor(step, total, warmup) for step in range(total)]
    assert all(0 < each <= 1 for each in factors)
    peak = factors.index(max(factors))
    assert factors[peak] == 1
    up, down = factors[: peak + 1], factors[peak:]
    assert up == sorted(up)
    assert down == sorted(down, reverse=True)
    assert up == pytest.approx([(step + 1) / (peak + 1) for step in range(peak + 1)])


def test_the_cosine_by_hand() -> None:
    assert factor(0, 100, 0.2) == pytest.approx(0.05)
    assert factor(19, 100, 0.2) == 1
    assert factor(20, 100, 0.2) == 1
    assert factor(60, 100, 0.2) == pytest.approx(0.5)
    assert factor(99, 100, 0.2) == pytest.approx(0, abs=1e-3)


def test_without_warmup_the_first_step_is_at_the_peak() -> None:
    assert factor(0, 10, 0.0) == 1

"""Draws that are computed again on the way back of a gradient, so that its graph keeps less (Chen
et al. 2016, "Training deep nets with sublinear memory cost")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils.checkpoint import checkpoint

from alp import seeding


def recomputed(
    sample: Callable[..., Tensor], state: Any, source: seeding.Source, draws: int, **options: Any
) -> Tensor:
    """``sample(state, source, draws)`` that keeps nothing for its way back, where it is computed
    again on the same draws."""
    begin = seeding.state_of(source)
    first = True

    def run() -> Tensor:
        nonlocal first
        if first:
            first = False
            return sample(state, source, draws, **options)
        now = seeding.state_of(source)
        seeding.set_state(source, begin)
        try:
            return sample(state, source, draws, **options)
        finally:
            seeding.set_state(source, now)

    answer: Tensor = checkpoint(run, use_reentrant=False)
    return answer

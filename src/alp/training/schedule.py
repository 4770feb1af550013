"""The learning rate as a function of the step, so that a resumed run needs no scheduler state."""

from __future__ import annotations

import math


def factor(step: int, total: int, warmup: float) -> float:
    """Share of the peak learning rate at ``step`` of ``total``: linear up, then a cosine to zero
    (Loshchilov and Hutter 2017, equation 5, without restarts)."""
    rise = max(1, round(warmup * total))
    if step < rise:
        return (step + 1) / rise
    return (1 + math.cos(math.pi * (step - rise) / max(1, total - rise))) / 2

"""How long a call takes: warmed up, many times, synchronised with the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from alp import seeding
from alp.defences.base import Defence
from alp.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class Latency:
    """Milliseconds a call."""

    median_ms: float
    """The median, which one interruption does not move."""
    p10_ms: float
    """The 10th percentile."""
    p90_ms: float
    """The 90th percentile."""
    repeats: int
    """How many calls were timed."""


def measure(
    fn: Callable[[], object],
    warmup: int = 10,
    repeats: int = 100,
    device: torch.device | str = "cpu",
) -> Latency:
    """Time ``fn``, called ``warmup`` times unmeasured and then ``repeats`` times.

    An accelerator works behind the caller's back: ``device`` is waited for before and after each
    call.

    Raises:
        ConfigError: ``warmup`` is negative or ``repeats`` below 1.
    """
    if warmup < 0 or repeats < 1:
        raise ConfigError(f"warmup {warmup}, repeats {repeats}; give at least 0 and 1")
    milliseconds = []
    for call in range(-warmup, repeats):
        taken, _ = timed(fn, device)
        if call >= 0:
            milliseconds.append(taken)
    low, median, high = np.percentile(milliseconds, [10, 50, 90])
    return Latency(float(median), float(low), float(high), repeats)


def timed(fn: Callable[[], T], device: torch.device | str = "cpu") -> tuple[float, T]:
    """Milliseconds of one call of ``fn``, and what it returned; ``device`` is waited for before
    and after."""
    wait = torch.accelerator.synchronize if torch.device(device).type != "cpu" else None
    if wait:
        wait(device)
    start = perf_counter()
    result = fn()
    if wait:
        wait(device)
    return (perf_counter() - start) * 1000, result


def profile(defence: Defence, x: Tensor, warmup: int = 10, repeats: int = 100) -> dict[str, Any]:
    """The latency of a defence on the batch ``x``, as a record's header keeps it.

    Returns:
        ``predict`` (all draws) and ``draw`` (one), each a :class:`Latency` as a dict, ``images``
        (how many a call got), ``device`` and ``threads``.
    """
    source = seeding.generator(0, "latency", device=x.device)
    with torch.inference_mode():
        predict = measure(lambda: defence(x, source), warmup, repeats, x.device)
        draw = measure(lambda: defence.logits(x, source, 1), warmup, repeats, x.device)
    return {
        "predict": asdict(predict),
        "draw": asdict(draw),
        "images": len(x),
        "device": str(x.device),
        "threads": torch.get_num_threads(),
    }

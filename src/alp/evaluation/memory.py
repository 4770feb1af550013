"""The memory that the gradients of an evaluation take, seen to before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from alp.defences.memory import available_bytes, graph_bytes, keep_at_most
from alp.errors import ConfigError

if TYPE_CHECKING:
    from alp.defences.base import Defence
    from alp.evaluation.crew import Crew
    from alp.executors import Note

USED = 0.5
"""Share of the free memory that gradients may take."""

GIB = 2**30


class Averaging(Protocol):
    """A plan of attacks."""

    @property
    def averaged(self) -> int:
        """Most draws that an attacker averages at a call."""


def rows_kept(defence: Defence, x: Tensor, plan: Averaging, crew: Crew, note: Note) -> int | None:
    """How many images of draws a gradient may keep at a time, so that a batch like ``x`` (B,3,H,W)
    fits in the memory that is free; None where all do, or nobody knows how much is free.

    Raises:
        ConfigError: those of a single draw do not fit; the message says which batch does.
    """
    free = available_bytes(x.device)
    if free is None or not defence.differentiable:
        return None
    keep_at_most(defence, None)
    workers = crew.count if crew.executor is None else 1
    each = max(1, graph_bytes(defence, x[:1]))
    rows = int(USED * free / workers / each)
    if rows < len(x):
        raise ConfigError(
            f"the gradient of a batch of {len(x)} images takes about {each * len(x) / GIB:.1f} "
            f"GiB, and {free / GIB:.1f} GiB are free for {workers} workers: give a batch_size of "
            f"{max(1, rows)} (--batch_size)"
        )
    draws = plan.averaged if defence.stochastic else 1
    if rows >= len(x) * draws:
        return None
    note(
        f"gradients of {draws} draws of {len(x)} images take about "
        f"{each * len(x) * draws / GIB:.1f} GiB, of which {free / GIB:.1f} are free: draws are "
        f"computed again on the way back, {rows // len(x)} at a time"
    )
    return rows

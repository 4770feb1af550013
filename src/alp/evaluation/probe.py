"""What is found out about a target before its evaluation: what it computes here, how fast, and how
much memory its gradients take.

The last bit of a gradient depends on the processor, on the number of its threads and on the
versions of libraries. Records that several processes make together are those of one process only
where all compute the same numbers: each is asked for a few, and refused where they differ.
"""

from __future__ import annotations

import hashlib
import platform
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from alp import seeding
from alp.attacks import LOSSES, input_gradient
from alp.defences.adapters import is_repeatable
from alp.defences.memory import available_bytes, graph_bytes, keep_at_most
from alp.errors import ConfigError
from alp.records.parts import differences

if TYPE_CHECKING:
    from alp.defences.base import Defence
    from alp.evaluation.crew import Crew
    from alp.executors import Note


_FEW = 4
"""Images that are enough to see whether a target repeats itself."""

_DRAWS = 4
_IMAGES = 32


@dataclass(frozen=True)
class Probe:
    """A target on the first images."""

    rates: tuple[float, float]
    """Seconds that a draw of an image takes, with a gradient and without one."""
    numbers: str
    """sha256 of logits and gradients; empty where the target does not repeat itself."""


def probed(defence: Defence, x: Tensor, y: Tensor) -> Probe:
    """Ask ``defence`` about the images (B,3,H,W), of which it looks at the first."""
    draws = _DRAWS if defence.stochastic else 1
    repeatable = is_repeatable(defence, x[:_FEW])
    x, y = x[:_IMAGES], y[:_IMAGES]
    source = seeding.generator(0, "rates", device=x.device)

    def answer(images: Tensor) -> Tensor:
        return defence.logits(images, source, draws)

    with torch.no_grad():
        answer(x)  # the first call of a shape is slower
        start = perf_counter()
        logits = answer(x)
        without = perf_counter() - start
    start = perf_counter()
    gradient, _ = input_gradient(answer, x, y, LOSSES["ce"])
    with_gradient = perf_counter() - start
    each = draws * len(x)
    numbers = [logits, gradient] if repeatable else []
    return Probe((with_gradient / each, without / each), _digest(numbers))


def computed_by(device: str, numbers: str) -> dict[str, Any]:
    """What decides about the last bit of a result: JSON values."""
    told: dict[str, Any] = {
        "threads": torch.get_num_threads(),
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }
    if device.startswith("cuda"):
        # A GPU may add in another order each time, and is told by its name.
        return {**told, "gpu": torch.cuda.get_device_name(device)}
    return {**told, "numbers": numbers[:16]} if numbers else told


def require_same_numbers(wanted: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Refuse a worker that computes other numbers.

    Raises:
        ConfigError: what differs.
    """
    told = differences(wanted, here)
    if told:
        raise ConfigError(
            f"a worker on {socket.gethostname()} (here) would give other numbers than the process "
            f"that sent for it (there): {told}; give both the same versions and threads"
        )


def _digest(tensors: list[Tensor]) -> str:
    if not tensors:
        return ""
    parts = (each.detach().float().cpu().contiguous().numpy().tobytes() for each in tensors)
    return hashlib.sha256(b"".join(parts)).hexdigest()


USED = 0.5
"""Share of the free memory that gradients may take."""

GIB = 2**30


class Averaging(Protocol):
    """A plan of attacks."""

    @property
    def averaged(self) -> int:
        """Most draws that an attacker averages at a call; 0 where none takes a gradient."""


def rows_kept(defence: Defence, x: Tensor, plan: Averaging, crew: Crew, note: Note) -> int | None:
    """How many images of draws a gradient may keep at a time, so that a batch like ``x`` (B,3,H,W)
    fits in the memory that is free; None where all do, or nobody knows how much is free.

    Raises:
        ConfigError: those of a single draw do not fit; the message says which batch does.
    """
    free = available_bytes(x.device)
    if free is None or not defence.differentiable or not plan.averaged:
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

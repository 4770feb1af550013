"""What is timed: the deployed predictions of every engine, the peers, and the matrix peak."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from alp import seeding
from alp.bench.peak import product, sides
from alp.bench.peers import Peer
from alp.bench.rounds import Call, Contestant
from alp.bench.threads import with_threads

if TYPE_CHECKING:
    import torch

    from alp.deploy import Consensus, Engine
    from alp.models import Defended

WHATS = ("draw", "draws", "consensus")
"""The deployed predictions: one draw, all draws, as many as the decision takes."""


@dataclass(frozen=True, eq=False)
class Entry:
    """A contestant, and what the record says of it."""

    contestant: Contestant
    """What is timed."""
    about: dict[str, Any]
    """``what`` (draw, draws, consensus, peer, peak), and what else it has of ``backend``,
    ``precision``, ``threads``, ``peer``, ``settings`` and ``flops`` (of the peak)."""


Batches = Callable[[int], NDArray[np.float32]]
"""Number of the round -> images (B,3,H,W)."""


def batches(images: NDArray[np.float32], size: int) -> Batches:
    """Another batch of ``images`` (P,3,H,W) in every round, from the start again at their end."""

    def batch(number: int) -> NDArray[np.float32]:
        rows = (number * size + np.arange(size)) % len(images)
        return np.ascontiguousarray(images[rows])

    return batch


def engine_entries(
    engine: Engine, name: dict[str, Any], batch: Batches, consensus: Consensus
) -> list[Entry]:
    """One draw, all draws and the consensus of an engine; its noise is drawn in the call, from
    the operating system's entropy as in serving."""

    def one(number: int) -> float:
        engine.predict(batch(number), 1)
        return 1.0

    def every(number: int) -> float:
        engine.predict(batch(number), consensus.draws)
        return float(consensus.draws)

    def decided(number: int) -> float:
        return float(engine.vote(batch(number), consensus).draws.mean())

    calls: dict[str, Call] = dict(zip(WHATS, (one, every, decided), strict=True))
    title = f"{name['backend']} {name['precision']} {name['threads']}"
    return [
        Entry(Contestant(f"{title} {what}", call), {"what": what, **name})
        for what, call in calls.items()
    ]


def peer_entry(
    name: str, peer: Peer, model: Defended, threads: int, batch: Batches, device: torch.device
) -> Entry:
    """A peer in front of the model's classifier, in PyTorch as its authors run it.

    Raises:
        ConfigError: a library that it needs is missing.
    """
    import torch

    defence = peer.build(model.classifier, device)
    source = seeding.generator(0, "peer", device=device)

    def call(number: int) -> float:
        with with_threads(threads):
            defence(torch.from_numpy(batch(number)).to(device), source)
        return math.nan

    about = {"what": "peer", "peer": name, "threads": threads, "settings": asdict(peer)}
    return Entry(Contestant(f"peer {name}", call), about)


def peak_entries(precision: str, threads: int, device: torch.device) -> list[Entry]:
    """The matrix products of which the fastest is the peak.

    Raises:
        UnknownNameError: no product is known in this precision.
    """
    entries = []
    for side in sides(device):
        call, flops = product(precision, threads, side, device)
        about = {"what": "peak", "precision": precision, "threads": threads, "flops": flops}
        entries.append(Entry(Contestant(f"peak {precision} {threads} {side}", call), about))
    return entries

"""How long experiments take at scale ``cpu``, told before they start."""

from __future__ import annotations

from collections.abc import Sequence

from alp.paper.protocol import Protocol


def estimate(names: Sequence[str], protocol: Protocol) -> str:
    """The cost of the experiments in words; empty where it is not known."""
    return ""

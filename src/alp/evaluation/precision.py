"""Attackers who compute in bfloat16, against a defence that does not. Needs no torch before it
is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from alp.evaluation.knowledge import Subject

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from alp.seeding import Source


class Rounded:
    """A subject as an attacker sees it who saves half the time: every view of the attackers is
    computed in bfloat16 where autocast allows it. What decides stays as it is: the deployed
    prediction and the purified image."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.stochastic = subject.stochastic
        self.draws = subject.draws
        self.views = subject.views

    def predict(self, x: Tensor, source: Source) -> Tensor:
        return self.subject.predict(x, source)

    def purify(self, x: Tensor, source: Source) -> Tensor:
        return self.subject.purify(x, source)

    def sample(self, x: Tensor, source: Source, draws: int) -> Tensor:
        with _bfloat16(x):
            return self.subject.sample(x, source, draws).to(x.dtype)

    def masked(self, x: Tensor, source: Source, draws: int) -> Tensor:
        with _bfloat16(x):
            return self.subject.masked(x, source, draws).to(x.dtype)

    def bpda(self, x: Tensor, source: Source, draws: int) -> Tensor:
        with _bfloat16(x):
            return self.subject.bpda(x, source, draws).to(x.dtype)

    def bare(self, x: Tensor) -> Tensor:
        with _bfloat16(x):
            return self.subject.bare(x).to(x.dtype)


def _bfloat16(x: Tensor) -> torch.autocast:
    import torch

    return torch.autocast(x.device.type, torch.bfloat16)


def _as_it_is(subject: Subject) -> Subject:
    return subject


ATTACK_PRECISIONS: dict[str, Callable[[Subject], Subject]] = {
    "float32": _as_it_is,
    "bfloat16": Rounded,
}
"""Name to what becomes of a subject whose attackers compute in it."""

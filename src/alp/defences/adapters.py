"""Any callable from images to logits as a defence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn

from alp import seeding
from alp.defences.base import Defence, Deterministic, Wrapper, counted
from alp.errors import ConfigError

Call = Callable[[Tensor], Tensor]
"""Images (B,3,H,W) in [0,1] -> logits (B,K)."""

_TRIES = 8
"""Pairs of answers that are compared to find out whether a callable is random."""


@final
class FixedCallable(Deterministic):
    """A callable that answers the same to everyone."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.call = call
        self.training = False

    def answer(self, x: Tensor) -> Tensor:
        return self.call(x)


@final
class RandomCallable(Defence):
    """A random callable of which only its answers are known. They are random through the global
    generators of torch and numpy, which each call is lent a seed for and which get their state
    back."""

    def __init__(self, call: Call, draws: int = 1) -> None:
        super().__init__()
        self.call = call
        self.draws = counted(draws)
        self.training = False

    def forward(
        self, x: Tensor, source: seeding.Source | None = None, *, draws: int | None = None
    ) -> Tensor:
        source = seeding.entropy(x.device) if source is None else source
        return self.sample(x, source, self.draws if draws is None else counted(draws)).mean(0)

    def logits(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return self.sample(x, source, draws)

    def sample(self, state: Tensor, source: seeding.Source, draws: int) -> Tensor:
        if isinstance(source, seeding.Common):
            return torch.stack([self._common(state, source.generator) for _ in range(draws)])
        return torch.stack([self._answer(state, _seed(source)) for _ in range(draws)])

    def _common(self, x: Tensor, source: torch.Generator) -> Tensor:
        """One draw, alike for every image: asked alone, an image meets the same random numbers
        whatever batch it belongs to."""
        seed = _seed(source)
        return torch.cat([self._answer(image, seed) for image in x[:, None]])

    def _answer(self, x: Tensor, seed: int) -> Tensor:
        with seeding.lent(seed, x.device):
            return self.call(x)


@final
class HalfPrecision(Wrapper):
    """A defence as an attacker sees it who saves half the time: everything that attackers see is
    computed in bfloat16 where autocast allows it. What decides stays as it is: the deployed
    prediction and the purified image."""

    def logits(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        with _bfloat16(x):
            return self.inner.logits(x, source, draws).to(x.dtype)

    def masked(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        with _bfloat16(x):
            return self.inner.masked(x, source, draws).to(x.dtype)

    def bpda(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        with _bfloat16(x):
            return self.inner.bpda(x, source, draws).to(x.dtype)

    def bare(self, x: Tensor) -> Tensor:
        with _bfloat16(x):
            return self.inner.bare(x).to(x.dtype)

    def in_float64(self) -> Any:
        return self.inner.in_float64()


def _bfloat16(x: Tensor) -> torch.autocast:
    return torch.autocast(x.device.type, torch.bfloat16)


def as_defence(target: Any, x: Tensor | None = None, draws: int | None = None) -> Defence:
    """Any target as a defence.

    Args:
        target: a defence already; or any callable from images (B,3,H,W) in [0,1] to logits (B,K),
            such as a module in eval mode.
        x: images to ask a callable with, to find out whether it is random; without them it is
            taken for deterministic.
        draws: answers that the deployed prediction averages; by default what the defence says,
            and 1 of a callable.

    Raises:
        ConfigError: the target cannot be called, is in training mode, or is not random although
            ``draws`` says so.
    """
    if isinstance(target, nn.Module) and target.training:
        raise ConfigError(
            f"the target {type(target).__name__} is in training mode, where batches change it; "
            "call .eval() first"
        )
    if isinstance(target, Defence):
        return target if draws is None else _WithDraws(target, draws)
    if not callable(target):
        raise ConfigError(
            f"the target is {target!r}; give a callable from images in [0,1] to logits"
        )
    if x is not None and is_random(target, x):
        return RandomCallable(target, draws or 1)
    if draws not in (None, 1):
        raise ConfigError(
            f"draws is {draws}, but the target answers the same every time; leave draws out"
        )
    return FixedCallable(target)


@final
class _WithDraws(Wrapper):
    """A defence whose deployed prediction averages another number of draws."""

    def __init__(self, inner: Defence, draws: int) -> None:
        super().__init__(inner)
        self.draws = counted(draws)

    def forward(
        self, x: Tensor, source: seeding.Source | None = None, *, draws: int | None = None
    ) -> Tensor:
        return super().forward(x, source, draws=self.draws if draws is None else draws)


def is_random(call: Call, x: Tensor) -> bool:
    """Whether a callable draws from the global generators, or answers differently when asked
    again: one that is random only now and then shows it by the first."""
    with torch.no_grad():
        for seed in range(_TRIES):
            with seeding.lent(seed, x.device) as touched:
                first = call(x)
                if touched():
                    return True
                if not torch.equal(first, call(x)):
                    return True
    return False


def is_repeatable(defence: Defence, x: Tensor) -> bool:
    """Whether a defence's draws follow the generator that they are given."""
    with torch.no_grad():
        first, second = (
            defence.logits(x, seeding.generator(0, "repeat", device=x.device), 2) for _ in range(2)
        )
    return torch.equal(first, second)


def _seed(source: seeding.Source) -> int:
    assert isinstance(source, torch.Generator)
    return int(torch.randint(2**62, (), generator=source, device=source.device))

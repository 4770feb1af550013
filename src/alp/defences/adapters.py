"""Any callable from images to logits as a defence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, final

import torch
from torch import Tensor, nn

from alp import seeding
from alp.defences.answers import tensor_of
from alp.defences.base import Defence, Deterministic, Wrapper, counted, in_own_precision
from alp.defences.inspection import require_evaluation_mode
from alp.errors import AlpError, ConfigError

T = TypeVar("T")

Call = Callable[[Tensor], Tensor]
"""Images (B,3,H,W) in [0,1] -> logits (B,K)."""

_MIXED = 1e-2
"""Change of a logit, relative to the largest, by which an image's answer may depend on the batch
that it is in: rounding, and no more."""

_COPIES = 4
"""Copies of an image in a batch by which draws that serve all of them are known."""

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
        return logits_of(asked(self.call, x.clone()), len(x))


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

    def predict(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return self.sample(x, source, draws).mean(0)

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
            return logits_of(asked(self.call, x.clone()), len(x))


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

    def watched(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        with _bfloat16(x):
            return self.inner.watched(x, source, draws).to(x.dtype)

    def in_float64(self) -> Any:
        return self.inner.in_float64()


def _bfloat16(x: Tensor) -> torch.autocast:
    return torch.autocast(x.device.type, torch.bfloat16)


@final
class DeclaredSurrogate(Wrapper):
    """A defence whose gradient somebody declares to be a surrogate, in words."""

    def __init__(self, inner: Defence, words: str) -> None:
        super().__init__(inner)
        self.surrogate = words


@final
class Logarithm(Wrapper):
    """A defence that answers probabilities, as one that answers logits: their logarithm."""

    def predict(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return log_probabilities(self.inner.predict(x, source, draws))

    def logits(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return log_probabilities(self.inner.logits(x, source, draws))

    def masked(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return log_probabilities(self.inner.masked(x, source, draws))

    def bpda(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return log_probabilities(self.inner.bpda(x, source, draws))

    def bare(self, x: Tensor) -> Tensor:
        return log_probabilities(self.inner.bare(x))

    def watched(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        watched = self.inner.watched(x, source, draws)
        return torch.cat([log_probabilities(watched[..., :-1]), watched[..., -1:]], -1)


def log_probabilities(probabilities: Tensor) -> Tensor:
    """Logits (B,K) whose softmax the probabilities (B,K) are; of zero the smallest float's."""
    return probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log()


def are_probabilities(answers: Tensor) -> bool:
    """Whether answers (B,K) look like probabilities: rows in [0,1] that sum to one."""
    inside = bool((answers >= 0).all() and (answers <= 1).all())
    return inside and bool((answers.double().sum(-1) - 1).abs().max() < 1e-3)


def asked(call: Call, x: Tensor) -> Any:
    """What a callable answers; a module computes in the precision of its weights."""
    return in_own_precision(call, call, x) if isinstance(call, nn.Module) else call(x)


def logits_of(answer: Any, images: int) -> Tensor:
    """The logits (B,K) in what a callable answered to ``images`` images, see
    :func:`tensor_of`.

    Raises:
        ConfigError: there are none in it.
    """
    logits = tensor_of(answer)
    if logits.ndim != 2 or len(logits) != images or logits.shape[1] < 2:
        raise ConfigError(
            f"the target answers shape {tuple(logits.shape)} to {images} images; it has to give "
            "logits (B,K) of at least 2 classes"
        )
    if not logits.is_floating_point():
        raise ConfigError(f"the target answers {logits.dtype}; give logits, which are floats")
    return logits.float() if logits.dtype.itemsize < 4 else logits


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
        ConfigError: the target cannot be called or fails on ``x``, is in training mode, answers
            something other than logits, mixes the images of a batch, or is not random although
            ``draws`` says so.
    """
    require_evaluation_mode(target)
    if isinstance(target, Defence):
        return target if draws is None else _WithDraws(target, draws)
    if not callable(target):
        raise ConfigError(
            f"the target is {target!r}; give a callable from images in [0,1] to logits"
        )
    if x is not None and _asked(target, x, is_random):
        return RandomCallable(target, draws or 1)
    if draws not in (None, 1):
        raise ConfigError(
            f"draws is {draws}, but the target answers the same every time; leave draws out"
        )
    fixed = FixedCallable(target)
    if x is not None:
        _asked(fixed, x, _require_separate)
    return fixed


def _asked(target: Call, x: Tensor, ask: Callable[[Call, Tensor], T]) -> T:
    """What ``ask`` finds out of a target, whose own errors are told as such."""
    try:
        return ask(target, x)
    except (AlpError, MemoryError):
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()[0:1]
        raise ConfigError(
            f"the target failed on {len(x)} images of {tuple(x.shape[1:])}, {x.dtype} "
            f"({type(error).__name__}: {''.join(reason)[:200]}); give a callable from such images "
            "to logits"
        ) from error


def _require_separate(target: Call, x: Tensor) -> None:
    """Raise a ConfigError where the answer to an image depends on the images beside it, as with
    batch norms in training mode that nobody sees."""
    with torch.no_grad():
        together = target(x)
        alone = target(x[:1])
    allowed = _MIXED * (1 + together[:1].abs().max())
    if len(x) > 1 and (together[:1] - alone).abs().max() > allowed:
        raise ConfigError(
            "the target's answer to an image depends on the images beside it; is a batch norm in "
            "it in training mode? call .eval() on every module that it uses"
        )


@final
class _WithDraws(Wrapper):
    """A defence whose deployed prediction averages another number of draws."""

    def __init__(self, inner: Defence, draws: int) -> None:
        super().__init__(inner)
        self.draws = counted(draws)


def is_random(call: Call, x: Tensor) -> bool:
    """Whether a callable draws from the global generators, or answers differently when asked
    again: one that is random only now and then shows it by the first."""
    with torch.no_grad():
        for seed in range(_TRIES):
            with seeding.lent(seed, x.device) as touched:
                first = logits_of(asked(call, x.clone()), len(x))
                if touched():
                    return True
                if not torch.equal(first, logits_of(asked(call, x.clone()), len(x))):
                    return True
    return False


def is_repeatable(defence: Defence, x: Tensor) -> bool:
    """Whether a defence's draws follow the generator that they are given."""
    with torch.no_grad():
        first, second = (
            defence.logits(x, seeding.generator(0, "repeat", device=x.device), 2) for _ in range(2)
        )
    return torch.equal(first, second)


def shares_draws(defence: Defence, x: Tensor) -> bool:
    """Whether one draw of a defence serves all images of a batch: copies of an image in a batch
    are answered alike, and asked again they are answered otherwise."""
    if not defence.stochastic:
        return False
    copies = x[:1].expand(_COPIES, *x.shape[1:]).contiguous()
    with torch.no_grad():
        logits = defence.logits(copies, seeding.generator(0, "shared", device=x.device), 2)
    within = (logits - logits[:, :1]).abs().max()
    between = (logits[0] - logits[1]).abs().max()
    return bool(between > 1e-6 * logits.abs().max() and within <= _MIXED * between)


def _seed(source: seeding.Source) -> int:
    assert isinstance(source, torch.Generator)
    return int(torch.randint(2**62, (), generator=source, device=source.device))

"""What users and attackers see of a target: the views that an evaluation needs.

Nothing here knows a model's class. A target is a callable from images to logits; one that offers
``encode`` and ``decode_classify`` (as :class:`alp.models.Defended` does) is encoded once for all
of its draws, and one that has a purifier before a classifier shows both to the attackers.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy, deepcopy
from typing import Any

import torch
from torch import Tensor

from alp import seeding
from alp.attacks.base import require_count
from alp.errors import ConfigError
from alp.evaluation.knowledge import Subject
from alp.evaluation.precision import Rounded

ROWS = 256
"""Latents that are decoded and classified at a time: more fall out of a processor's cache."""

_TRIES = 8
"""Pairs of answers that are compared to find out whether a target is random."""


class Deterministic:
    """A target that answers the same to everyone, whatever is asked: every view is its answer."""

    stochastic = False
    draws = 1
    views: frozenset[str] = frozenset()

    def __init__(self, call: Callable[[Tensor], Tensor]) -> None:
        self.call = call

    def predict(self, x: Tensor, source: seeding.Source) -> Tensor:
        return self.call(x)

    def sample(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return self.call(x)[None]

    masked = bpda = sample

    def bare(self, x: Tensor) -> Tensor:
        return self.call(x)

    def purify(self, x: Tensor, source: seeding.Source) -> Tensor:
        return x


class Opaque:
    """A random target of which only its answers are known; they are random through the global
    generators of torch and numpy, which each call is lent a seed for and which get their state
    back."""

    stochastic: bool = True
    views: frozenset[str] = frozenset()

    def __init__(self, call: Callable[[Tensor], Tensor], draws: int = 1) -> None:
        self.call = call
        require_count("draws", draws)
        self.draws = draws

    def predict(self, x: Tensor, source: seeding.Source) -> Tensor:
        return self.sample(x, source, self.draws).mean(0)

    def sample(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        if isinstance(source, seeding.Common):
            return torch.stack([self._common(x, source.generator) for _ in range(draws)])
        return torch.stack([self._answer(x, _seed(source)) for _ in range(draws)])

    def _common(self, x: Tensor, source: torch.Generator) -> Tensor:
        """One draw, alike for every image: asked alone, an image meets the same random numbers
        whatever batch it belongs to."""
        seed = _seed(source)
        return torch.cat([self._answer(image, seed) for image in x[:, None]])

    def _answer(self, x: Tensor, seed: int) -> Tensor:
        with seeding.lent(seed, x.device):
            return self.call(x)

    def masked(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        raise _hidden("masked")

    def bpda(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        raise _hidden("bpda")

    def bare(self, x: Tensor) -> Tensor:
        raise _hidden("bare")

    def purify(self, x: Tensor, source: seeding.Source) -> Tensor:
        return x


class Encoded(Opaque):
    """A random target in two halves: ``encode(x)`` once an image, and
    ``decode_classify(latent, source, size, draws=n)``, which gives logits (n,B,K)."""

    def __init__(self, model: Any, draws: int | None = None) -> None:
        super().__init__(model, getattr(model, "draws", 1) if draws is None else draws)
        self.model = model

    def sample(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return self._decoded(x, source, draws)

    def _decoded(self, x: Tensor, source: seeding.Source, draws: int, **options: Any) -> Tensor:
        latent = self.model.encode(x)
        size, group = x.shape[-2:], max(1, ROWS // len(x))
        parts = [
            self.model.decode_classify(
                latent, source, size, draws=min(group, draws - first), **options
            )
            for first in range(0, draws, group)
        ]
        return torch.cat(parts)


class Purified(Encoded):
    """A purifier before a classifier, both of which the attackers can take apart; at the noise
    level ``sigma`` in place of the learned one, where it is given. Without noise there is one
    draw, which is all of them."""

    views = frozenset({"bare", "purify", "masked", "bpda"})

    def __init__(self, model: Any, draws: int | None = None, sigma: float | None = None) -> None:
        super().__init__(model, 1 if sigma == 0 else draws)
        # Models of other people need not know of it.
        self._level = {} if sigma is None else {"sigma": sigma}
        self.stochastic = sigma != 0

    def predict(self, x: Tensor, source: seeding.Source) -> Tensor:
        logits: Tensor = self.model(x, source, draws=self.draws, **self._level)
        return logits

    def sample(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        """A stop-gradient in the defence's code does not bind who holds its weights."""
        return self._drawn(x, source, draws, stop_gradient=False)

    def masked(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return self._drawn(x, source, draws, stop_gradient=True)

    def _drawn(self, x: Tensor, source: seeding.Source, draws: int, **options: Any) -> Tensor:
        draws = draws if self.stochastic else 1
        return self._decoded(x, source, draws, **self._level, **options)

    def bpda(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        draws = draws if self.stochastic else 1
        with torch.no_grad():
            latent = self.model.encode(x)
            purified = self.model.purifier.draw(
                latent, source, x.shape[-2:], draws=draws, **self._level
            )
        copies = x.repeat(draws, 1, 1, 1)
        # The purified values, with the derivative of the identity.
        logits: Tensor = self.model.classifier(copies + (purified - copies).detach())
        return logits.view(draws, len(x), -1)

    def bare(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model.classifier(x)
        return logits

    def purify(self, x: Tensor, source: seeding.Source) -> Tensor:
        image: Tensor = self.model.purifier(x, source, **self._level)
        return image


def subject_of(target: Any, x: Tensor | None = None, draws: int | None = None) -> Subject:
    """The subject of any target.

    Args:
        target: a subject already; a model with ``encode`` and ``decode_classify``; or any
            callable from images (B,3,H,W) in [0,1] to logits (B,K), a module in eval mode say.
        x: images to ask a callable with, to find out whether it is random; without them it is
            taken for deterministic.
        draws: answers that the deployed prediction averages; by default what the target says,
            and 1 of a callable.

    Raises:
        ConfigError: the target cannot be called, is in training mode, or is not random although
            ``draws`` says so.
    """
    if isinstance(target, torch.nn.Module) and target.training:
        raise ConfigError(
            f"the target {type(target).__name__} is in training mode, where batches change it; "
            "call .eval() first"
        )
    if all(hasattr(target, name) for name in ("predict", "sample", "stochastic")):
        subject: Subject = target
        return subject
    if hasattr(target, "encode") and hasattr(target, "decode_classify"):
        whole = hasattr(target, "classifier") and hasattr(target, "purifier")
        return Purified(target, draws) if whole else Encoded(target, draws)
    if not callable(target):
        raise ConfigError(
            f"the target is {target!r}; give a callable from images in [0,1] to logits"
        )
    if x is not None and is_random(target, x):
        return Opaque(target, draws or 1)
    if draws not in (None, 1):
        raise ConfigError(
            f"draws is {draws}, but the target answers the same every time; leave draws out"
        )
    return Deterministic(target)


def is_random(call: Callable[[Tensor], Tensor], x: Tensor) -> bool:
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


def is_repeatable(subject: Subject, x: Tensor) -> bool:
    """Whether a subject's draws follow the generator they are given."""
    with torch.no_grad():
        first, second = (
            subject.sample(x, seeding.generator(0, "repeat", device=x.device), 2) for _ in range(2)
        )
    return torch.equal(first, second)


def in_float64(subject: Subject) -> Subject:
    """A copy of a subject whose modules compute in float64; what is not a module stays as it is,
    and may answer float64 images in float32, or not at all."""
    twin = copy(subject.subject if isinstance(subject, Rounded) else subject)
    copies: dict[int, Any] = {}
    for name, part in vars(twin).items():
        if isinstance(part, torch.nn.Module):
            setattr(twin, name, deepcopy(part, copies).double())
    return twin


def _seed(source: seeding.Source) -> int:
    assert isinstance(source, torch.Generator)
    return int(torch.randint(2**62, (), generator=source, device=source.device))


def _hidden(view: str) -> ConfigError:
    return ConfigError(
        f"the target shows its answers only, and has no view {view!r}; give a model with encode, "
        "decode_classify, classifier and purifier, or leave that level out"
    )

"""What a defence is: the one thing that is loaded, attacked, judged, timed and deployed.

A defence is a module from images to logits. It may be random; then it draws from the ``source``
that it is given and from nothing else, and its prediction is the mean over several draws. What an
attacker who holds its code may put in its place stands beside it: the exact gradient (``logits``),
the identity's derivative (``bpda``), the stop-gradient (``masked``), the classifier alone
(``bare``).

Images are float (B,3,H,W) in [0,1]. Logits are (B,K), or (draws,B,K) of several draws.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from copy import copy, deepcopy
from functools import partial
from typing import Any, Literal, Self, TypeAlias, TypeVar

import torch
from torch import Tensor, nn
from torch.fx import Proxy

from alp import seeding
from alp.config import FrameConfig, class_names, require_number
from alp.defences.answers import tensor_of
from alp.defences.identity import ModelOrigin
from alp.defences.recomputed import recomputed
from alp.errors import ConfigError
from alp.registry import Registry

DEFENCES: Registry[type[Defence]] = Registry("DEFENCES", "alp.defences", "alp.defences")
"""Name to class. A new defence is one file: a subclass with ``@DEFENCES.register("NAME")``."""

PURIFIERS: Registry[type[PurifierBase]] = Registry("PURIFIERS", "alp.defences", "alp.purifiers")
"""Name to class of what purifies images but classifies nothing."""

M = TypeVar("M", bound=nn.Module)

GROUP = 64
"""Rows that the random half of a prediction takes at a time where the batch is smaller."""

ROWS = 256
"""Rows that the random half takes at a time for an attacker: more fall out of a processor's
cache."""

MOST_DRAWS = 1_000_000
"""Largest number of draws of a prediction."""

ROUNDING = 1e-6
"""How far beyond [0,1] a pixel may be: the rounding of whoever made it."""

CAPABILITIES = frozenset({"masked", "bpda", "bare", "purify", "rejects"})
"""What a defence may show beside its logits."""


class Defence(nn.Module, ABC):
    """A classifier, defended or not: images (B,3,H,W) in [0,1] -> logits (B,K)."""

    classifies: Literal[True] = True
    """Tells a defence from a purifier alone, which is a model too."""

    trained = False
    """Whether it has weights of its own beside those of a classifier that it is made of."""

    draws: int = 1
    """Draws that the deployed prediction averages."""

    capabilities: frozenset[str] = frozenset()
    """Which of ``CAPABILITIES`` it has; the others raise a ConfigError."""

    surrogate: str = ""
    """The gradient that it declares in place of the exact one, in words, such as ``the identity
    in place of JPEG's derivative``; empty where its gradient is exact."""

    kept_rows: int | None = None
    """Images of draws that a graph keeps at a time (``memory.py``); None keeps all."""

    _frame: FrameConfig | None = None

    _differentiable = True

    origin: ModelOrigin | None = None
    """Where it was loaded from, if it was."""

    _classes: tuple[str, ...] | None = None

    @property
    def frame(self) -> FrameConfig | None:
        """How pictures become its images; None where any size will do."""
        inside = self._inside()
        return self._frame if inside is None else inside.frame

    @property
    def differentiable(self) -> bool:
        """Whether anybody can compute its gradient; else attackers have its answers alone."""
        inside = self._inside()
        return self._differentiable if inside is None else inside.differentiable

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes in the order of the logits; None where nobody has said them. They
        are those of the defence inside, where there is one.

        Setting them raises a ConfigError unless they are distinct texts.
        """
        inside = self._inside()
        return self._classes if inside is None else inside.classes

    @classes.setter
    def classes(self, names: Sequence[str] | None) -> None:
        inside = self._inside()
        if inside is not None:
            inside.classes = names
        else:
            self._classes = None if names is None else class_names(names)

    def _inside(self) -> Defence | None:
        return next((each for each in self.children() if isinstance(each, Defence)), None)

    @property
    def settings(self) -> dict[str, Any]:
        """Its settings as plain JSON values, for records: what its constructor takes beside
        modules, by name."""
        return {}

    @property
    def stochastic(self) -> bool:
        """Whether two draws differ."""
        return True

    @property
    def sigma(self) -> float | None:
        """The noise level, in the units of what the noise is added to; None where there is none."""
        return None

    def encode(self, x: Tensor) -> Any:
        """What is computed once an image, whatever the number of draws; by default the images."""
        return x

    def select(self, state: Any, rows: Tensor) -> Any:
        """``rows`` of what ``encode`` gave."""
        return state[rows]

    @abstractmethod
    def sample(self, state: Any, source: seeding.Source, draws: int) -> Tensor:
        """The random half: logits (draws,B,K) of what ``encode`` gave. The gradient flows. A
        defence that is not stochastic may answer with a single draw."""

    def forward(
        self, x: Tensor, source: seeding.Source | None = None, *, draws: int | None = None
    ) -> Tensor:
        """The deployed prediction: mean logits over all draws, (B,K).

        Args:
            source: generator of the noise; without it the operating system seeds the noise.
            draws: another number of draws.

        Raises:
            ConfigError: ``x`` is no batch of images in [0,1], or ``draws`` no number of draws.
        """
        return self.predict(*self._asked(x, source, draws))

    def _asked(
        self, x: Tensor, source: seeding.Source | None, draws: int | None
    ) -> tuple[Tensor, seeding.Source, int]:
        """What a call of ``forward`` asks for, once it is known to be possible."""
        if not self.training:  # adversarial training may leave [0,1]
            require_images(x)
        source = seeding.entropy(x.device) if source is None else source
        draws = self.draws if draws is None else counted(draws)
        return x, source, draws if self.stochastic else 1

    def predict(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        """The deployed prediction, mean logits (B,K), of images that are known to be images."""
        return self._mean(x, source, draws)

    def _mean(self, x: Tensor, source: seeding.Source, draws: int, **options: Any) -> Tensor:
        state, left, parts = self.encode(x), draws, []
        while left > 0:
            # Small batches take several draws at a time: one image fills no machine.
            now = min(left, max(1, GROUP // len(x)))
            parts.append(self.sample(state, source, now, **options))
            left -= now
        return torch.cat(parts).mean(0)

    def logits(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        """Logits of each of ``draws`` draws behind one pass of the encoder, (draws,B,K), with the
        exact gradient or the declared surrogate's; (1,B,K) where it is not stochastic."""
        return self._drawn(x, source, draws)

    def _drawn(self, x: Tensor, source: seeding.Source, draws: int, **options: Any) -> Tensor:
        draws = draws if self.stochastic else 1
        state, group = self.encode(x), max(1, ROWS // len(x))
        sample: Callable[..., Tensor] = self.sample
        if self.kept_rows is not None and torch.is_grad_enabled():
            group = min(group, max(1, self.kept_rows // len(x)))
            sample = partial(recomputed, self.sample)
        parts = [
            sample(state, source, min(group, draws - first), **options)
            for first in range(0, draws, group)
        ]
        return torch.cat(parts)

    def masked(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        """As ``logits``, with the defence's stop-gradient on."""
        raise self._lacks("masked")

    def bpda(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        """As ``logits``, with the derivative of the identity in place of the purifier's (BPDA;
        Athalye et al. 2018, section 4.1)."""
        raise self._lacks("bpda")

    def bare(self, x: Tensor) -> Tensor:
        """Logits (B,K) of the classifier without its defence."""
        raise self._lacks("bare")

    def rejects(self, x: Tensor) -> Tensor:
        """Which images its detectors reject, bool (B,): it answers nothing then."""
        raise self._lacks("rejects")

    def watched(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        """As ``logits``, with the detectors' alarm as a further column, (draws,B,K+1): zero where
        they are far from rejecting an image. For the loss ``evasion``."""
        raise self._lacks("rejects")

    def purify(self, x: Tensor, source: seeding.Source) -> Tensor:
        """One purified draw, shaped like ``x``; ``x`` itself where there is no purifier."""
        return x

    def at_sigma(self, sigma: float) -> Defence:
        """The same defence at another noise level; itself where it has none."""
        return self

    def with_draws(self, draws: int) -> Self:
        """The same defence, whose prediction averages ``draws`` draws; itself where it draws
        nothing.

        Raises:
            ConfigError: ``draws`` is no whole number above zero.
        """
        number = counted(draws)
        if not self.stochastic:
            return self
        other = self._twin()
        other.draws = number
        return other

    def _twin(self) -> Self:
        """A copy that shares all modules and may be given other settings."""
        other = copy(self)
        other._modules = dict(self._modules)
        return other

    def parts(self) -> dict[str, nn.Module]:
        """Role to model of what a package stores in a file of its own; by default it is whole."""
        return {"model": self}

    def describe(self) -> dict[str, Any]:
        """The architecture as plain JSON values with the key ``kind``, its registered name: enough
        to build it again.

        Raises:
            ConfigError: it cannot be saved, and why.
        """
        raise ConfigError(f"a {type(self).__name__} cannot be saved; save the model in it")

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        """An untrained defence of what ``describe`` gave."""
        raise ConfigError(f"a {cls.__name__} cannot be saved, so that none can be read")

    def in_float64(self) -> Self:
        """A copy whose modules compute in float64. What is not a module stays as it is."""
        twin, copies = self._twin(), {}  # type: ignore[var-annotated]
        own = ("_modules", "_parameters", "_buffers")
        for kind, parts in ((kind, getattr(self, kind)) for kind in own):
            setattr(twin, kind, {name: deepcopy(part, copies) for name, part in parts.items()})
        return twin.double()

    def _lacks(self, what: str) -> ConfigError:
        return ConfigError(
            f"the defence {type(self).__name__} has no {what!r}, only its answers; leave the "
            "attackers out that need it"
        )


class Deterministic(Defence):
    """A defence that draws nothing. Every attacker sees its one answer."""

    @property
    def stochastic(self) -> bool:
        return False

    @abstractmethod
    def answer(self, x: Tensor) -> Tensor:
        """Logits (B,K) of images (B,3,H,W)."""

    def predict(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return self.answer(x)

    def sample(self, state: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return self.answer(state)[None]

    def masked(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return self.logits(x, source, draws)

    def bpda(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return self.logits(x, source, draws)

    def bare(self, x: Tensor) -> Tensor:
        return self.answer(x)


class Wrapper(Defence):
    """A defence around another one, which it passes everything on to; subclasses change a part."""

    def __init__(self, inner: Defence) -> None:
        super().__init__()
        self.inner = inner
        self.draws = inner.draws
        self.capabilities = inner.capabilities
        self.surrogate = inner.surrogate
        self.training = inner.training

    @property
    def stochastic(self) -> bool:
        return self.inner.stochastic

    @property
    def sigma(self) -> float | None:
        return self.inner.sigma

    def encode(self, x: Tensor) -> Any:
        return self.inner.encode(x)

    def select(self, state: Any, rows: Tensor) -> Any:
        return self.inner.select(state, rows)

    def sample(self, state: Any, source: seeding.Source, draws: int) -> Tensor:
        return self.inner.sample(state, source, draws)

    def predict(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return self.inner.predict(x, source, draws)

    def logits(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return self.inner.logits(x, source, draws)

    def masked(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return self.inner.masked(x, source, draws)

    def bpda(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return self.inner.bpda(x, source, draws)

    def bare(self, x: Tensor) -> Tensor:
        return self.inner.bare(x)

    def rejects(self, x: Tensor) -> Tensor:
        return self.inner.rejects(x)

    def watched(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return self.inner.watched(x, source, draws)

    def purify(self, x: Tensor, source: seeding.Source) -> Tensor:
        return self.inner.purify(x, source)

    def at_sigma(self, sigma: float) -> Self:
        other = self._twin()
        other.inner = self.inner.at_sigma(sigma)
        other.draws = self.draws if other.stochastic else 1
        return other


class PurifierBase(nn.Module, ABC):
    """A purifier alone: images (B,3,H,W) in [0,1] -> purified images of the same shape, another
    one for every draw. It is trained, saved and loaded, and it stands in front of a classifier."""

    classifies: Literal[False] = False
    draws = 1
    capabilities = frozenset({"purify"})
    frame: FrameConfig | None = None
    classes: None = None

    @property
    @abstractmethod
    def sigma(self) -> float:
        """The noise level, in the units of what the noise is added to."""

    def purify(self, x: Tensor, source: seeding.Source) -> Tensor:
        """As :meth:`Defence.purify`, with its exact gradient: a stop-gradient in its code does not
        bind who holds the weights."""
        image: Tensor = self(x, source)
        return image

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """As :meth:`Defence.describe`."""

    @classmethod
    @abstractmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        """As :meth:`Defence.from_description`."""

    def parts(self) -> dict[str, nn.Module]:
        """As :meth:`Defence.parts`."""
        return {"model": self}


Model: TypeAlias = Defence | PurifierBase
"""What is trained, saved and loaded: a defence, or a purifier alone."""


def channels_last(module: M) -> M:
    """The same module with channels-last weights: 2 to 4 times faster 3x3 convolutions on a CPU."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def classify(classifier: nn.Module, images: Tensor) -> Tensor:
    """Logits (B,K) of a classifier behind a defence. What it gets is the defence's, so that it
    need not be in [0,1]; other people's classifiers get it in the usual memory format, and may
    answer with an object or mapping that has ``logits``.

    Raises:
        ConfigError: the classifier answers something else.
    """
    own = isinstance(classifier, Deterministic)
    given = images if own else images.contiguous()
    answer = in_own_precision(classifier, unchecked(classifier), given)
    if not isinstance(answer, Tensor | Proxy):
        answer = tensor_of(answer).to(images.dtype)
    logits: Tensor = answer
    traced = isinstance(logits, Proxy) or torch.compiler.is_compiling()
    if not traced and (logits.ndim != 2 or len(logits) != len(images)):
        raise ConfigError(
            f"the classifier answers {len(images)} images with shape {tuple(logits.shape)}; give "
            "one that answers with logits (B,K)"
        )
    return logits


def in_own_precision(module: nn.Module, call: Callable[[Tensor], Any], x: Tensor) -> Any:
    """``call(x)`` in the precision of the weights of ``module``, such as float16; an answer that
    is a tensor in the precision of ``x``."""
    kind = next((each.dtype for each in module.parameters()), None)
    if isinstance(x, Proxy) or kind in (None, x.dtype) or not kind.is_floating_point:
        return call(x)
    answer = call(x.to(kind))
    return answer.to(x.dtype) if isinstance(answer, Tensor) else answer


def unchecked(classifier: nn.Module) -> Callable[[Tensor], Tensor]:
    """What computes the logits, without the check of the images: that depends on their values,
    so that nobody can trace or export it."""
    if isinstance(classifier, Deterministic):
        return classifier.answer
    if isinstance(classifier, Defence) and not classifier.stochastic:
        return lambda x: classifier.sample(classifier.encode(x), seeding.Zeros(x.device), 1)[0]
    return classifier


def require_images(x: Tensor) -> None:
    """Raise a ConfigError unless ``x`` is a non-empty float batch (B,3,H,W) in [0,1]. A graph that
    is being traced holds no values; whoever runs it looks at them."""
    if torch.compiler.is_compiling() or isinstance(x, Proxy):
        return
    require_shape(x)
    if not x.is_floating_point():
        raise ConfigError(f"images are {x.dtype}; give floats in [0,1] (divide bytes by 255)")
    if x.is_meta:
        return  # only shapes are asked for
    low, high = x.detach().aminmax()
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):
        raise ConfigError(
            f"images reach from {float(low):.6g} to {float(high):.6g}; give images in [0,1] "
            "(normalisation is inside the model)"
        )


def require_shape(x: Tensor) -> None:
    """Raise a ConfigError unless ``x`` is a non-empty batch (B,3,H,W)."""
    if not isinstance(x, Tensor) or x.ndim != 4 or x.shape[1] != 3 or not x.numel():
        shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ConfigError(f"images have shape {shape}; give a non-empty (batch, 3, height, width)")


def counted(draws: int) -> int:
    """``draws``, if it is a number of draws.

    Raises:
        ConfigError: it is no whole number from 1 to ``MOST_DRAWS``.
    """
    require_number("draws", draws, 1, whole=True)
    if draws > MOST_DRAWS:
        raise ConfigError(f"draws is {draws}; give {MOST_DRAWS:,} or fewer")
    return draws


def straight_through(values: Tensor, x: Tensor) -> Tensor:
    """``values`` with the derivative of ``x`` (Bengio et al. 2013)."""
    return x + (values - x).detach()

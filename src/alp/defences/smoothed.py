"""The smoothed classifier: what a base classifier says most often under Gaussian noise.

It is the one defence with a proof. If the most frequent class has a probability above
Phi(r / sigma), no change of the image of length below r (L2) makes another class the most frequent
(Cohen et al. 2019, theorem 1). The probability is bounded from below by votes (confidence.py), and
the noise is made of integers (lattice.py), so that the proof holds for what a computer computes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Self, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alp import seeding
from alp.config import PRECISIONS
from alp.defences.base import DEFENCES, Defence, classify, straight_through
from alp.defences.heads import describe_head, head_of
from alp.defences.lattice import STEPS, LatticeNoise, to_floats, to_lattice
from alp.defences.plan import BLOCK, SamplingPlan, State
from alp.defences.preprocessed import Preprocessed
from alp.defences.pretrained import Pretrained
from alp.errors import ConfigError, choose

ABSTAIN = -1
"""What stands for a class where the votes leave it open."""


@dataclass(frozen=True)
class Certificate:
    """What votes prove of each image of a batch."""

    prediction: Tensor
    """Class, int64 (B,); ``ABSTAIN`` where even the radius 0 is not certified."""
    radius: Tensor
    """Certified L2 radius on images in [0,1], float64 (B,), rounded down; NaN where it abstains. It
    holds for every image on the lattice, each 8-bit image say; for others it is smaller by
    ``Smoothed.rounding``, the farthest that they are rounded."""
    votes: Tensor
    """Votes by class, int64 (B,K), without those that selected the class."""


class VoteEngine(ABC):
    """What computes the votes of a base classifier in place of torch. A copy in another process
    computes the same."""

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """Logits (B,K) of images (B,3,H,W), float32, without a gradient."""

    @property
    @abstractmethod
    def described(self) -> dict[str, Any]:
        """``backend``, ``precision``, ``threads`` and what else makes it another base, as JSON
        values for records."""

    def made_of(self, classifier: nn.Module | None) -> VoteEngine:
        """The same engine of a copy of its classifier; of none where it is sent to another process
        without one."""
        return self


@final
@DEFENCES.register("smoothed")
class Smoothed(Pretrained, Preprocessed):
    """Hard votes of a base classifier under Gaussian noise on the pixels.

    As any defence it answers with logits: the counts of ``draws`` votes. ``predict`` and
    ``certify`` say how sure they are. Attackers see the mean logits behind the votes.
    """

    surrogate = "mean logits in place of votes"

    def __init__(
        self,
        base: nn.Module,
        sigma: float,
        draws: int = BLOCK,
        precision: str = "float32",
        engine: VoteEngine | None = None,
    ) -> None:
        """Smooth a classifier.

        Args:
            base: images (B,3,H,W) in [0,1] -> logits (B,K); noise takes them beyond [0,1]. It
                has to be in evaluation mode, and its answer may not depend on chance.
            sigma: standard deviation of the noise on the pixels.
            draws: votes of the prediction that answers with counts.
            precision: what the base computes in. Two precisions are two classifiers, each with
                certificates of its own.
            engine: what computes the votes in place of torch, in its own precision; made from
                ``base``, whose gradient attackers get. It is no part of what is saved.

        Raises:
            ConfigError: sigma or precision cannot be used, or the base averages logits.
        """
        if not isinstance(base, nn.Module):
            raise ConfigError(
                f"the base is a {type(base).__name__}; give a torch module from images to logits"
            )
        if isinstance(base, Defence) and base.stochastic:
            raise ConfigError(
                f"the base is a {type(base).__name__}, which averages logits over its own noise; "
                "no theorem bounds such a mean by hard votes: give the classifier in it, "
                "Smoothed(model.classifier, sigma)"
            )
        if base.training:
            raise ConfigError(
                "the base is in training mode, where images of a batch change each other; call "
                ".eval() first"
            )
        choose(dict.fromkeys(PRECISIONS), precision, "precision")
        super().__init__(base, draws)
        self._noise = LatticeNoise(sigma)
        self.precision = precision
        self.engine = engine
        self.eval()

    @property
    def sigma(self) -> float:
        return self._noise.sigma

    def at_sigma(self, sigma: float) -> Self:
        """The same base at another noise level, whose certificates are its own.

        Raises:
            ConfigError: sigma cannot be used.
        """
        other = self._twin()
        other._noise = LatticeNoise(sigma)
        return other

    @property
    def settings(self) -> dict[str, Any]:
        return {"draws": self.draws, "sigma": self.sigma, "precision": self.precision}

    @property
    def computed(self) -> dict[str, Any]:
        """What computes the votes, as JSON values for records."""
        if self.engine is not None:
            return self.engine.described
        return {"backend": "eager", "precision": self.precision}

    def error(self, shape: tuple[int, ...]) -> float:
        """A bound on what the sampler's rounding changes in the probability of a vote on an image
        of ``shape``."""
        return math.prod(shape) * self._noise.variation

    @staticmethod
    def rounding(shape: tuple[int, ...]) -> float:
        """The farthest that an image of ``shape`` lies from the lattice, in L2."""
        return math.sqrt(math.prod(shape)) / (2 * STEPS)

    def transform(self, x: Tensor, source: seeding.Source) -> Tensor:
        return x + self.sigma * seeding.normal(x.shape, source).to(x)

    def block(self, shape: tuple[int, ...], seed: int, number: int, what: str = "votes") -> Tensor:
        """Noise of a block of votes, int32 (BLOCK,3,H,W), a function of its arguments alone, so
        that the votes on an image do not depend on the images beside it."""
        drawn = seeding.derive(seed, f"lattice noise, {what}", number)
        return self._noise.draw((BLOCK, *shape), drawn)

    @torch.inference_mode()
    def votes(self, point: Tensor, noise: Tensor) -> Tensor:
        """The vote under each row of ``noise``, int64 (N,K) with a single 1 a row, of one image on
        the lattice (3,H,W).

        Raises:
            ConfigError: the base gives no finite logits (B,K).
        """
        images = to_floats(point + noise)
        half = self.engine is None and self.precision == "bfloat16"
        with torch.autocast(images.device.type, torch.bfloat16) if half else nullcontext():
            logits = (self.engine or partial(classify, self.classifier))(images)
        if bool(logits.isnan().any()):
            raise ConfigError(
                "the base answers NaN, which is no vote; give weights that are finite"
            )
        return F.one_hot(logits.argmax(1), logits.shape[1])

    def before(self, classifier: Defence) -> Self:
        """Nothing: votes have no gradient by the classifier's weights.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "votes have no gradient, so that no classifier learns behind them; train one for votes "
            "with 'alp train certified'"
        )

    def _classified(self, images: Tensor, draws: int) -> Tensor:
        logits = super()._classified(images, draws)
        if self.engine is None:
            return logits
        return straight_through(self.engine(images).view_as(logits), logits)

    def count(self, point: Tensor, noise: Tensor) -> Tensor:
        """Votes by class, int64 (K,), of one image under a block of noise; see ``votes``."""
        return self.votes(point, noise).sum(0)

    def predict(
        self,
        x: Tensor,
        source: seeding.Source | None = None,
        draws: int | None = None,
        *,
        alpha: float = 0.001,
        budget: int = 10_000,
        seed: int | None = None,
    ) -> Tensor:
        """The most frequent class of each image, int64 (B,), or ``ABSTAIN``; with ``source`` and
        ``draws``, as evaluations ask every defence, the votes by class (B,K) instead.

        Args:
            x: images (B,3,H,W), float in [0,1] or uint8.
            alpha: largest probability that a returned class is not the most frequent one.
            budget: votes after which it abstains.
            seed: of the noise; by default the operating system's.

        Raises:
            ConfigError: an argument cannot be used.
        """
        if draws is None:
            told = self.certify(x, radii=(0.0,), alpha=alpha, budget=budget, seed=seed)
            return told.prediction
        points, _ = to_lattice(x)
        drawn = seed_of(source)
        shape, starts = tuple(x.shape[1:]), range(0, draws, BLOCK)
        noise = [self.block(shape, drawn, start // BLOCK)[: draws - start] for start in starts]
        counts = [
            torch.stack([self.count(point, each) for each in noise]).sum(0) for point in points
        ]
        return torch.stack(counts).to(x.dtype)

    def certify(
        self,
        x: Tensor,
        *,
        radii: tuple[float, ...] = (0.0, 0.25, 0.5),
        alpha: float = 0.001,
        budget: int = 20_000,
        method: Literal["anytime", "fixed"] = "anytime",
        seed: int | None = None,
    ) -> Certificate:
        """Class and certified radius of each image.

        Args:
            x: images (B,3,H,W), float in [0,1] or uint8. An image between the points of the
                lattice is moved to the nearest one, which its radius pays for.
            radii: what has to be decided; ``anytime`` stops when it is.
            alpha: largest probability that a certificate is wrong, for each image.
            budget: most votes for an image.
            method: see :class:`SamplingPlan`.
            seed: of the noise; by default the operating system's.

        Raises:
            ConfigError: an argument cannot be used, or the budget cannot certify the radii.
        """
        plan = SamplingPlan(radii, alpha, budget, method)
        plan.require_possible(self.sigma, self.error(tuple(x.shape[1:])))
        points, moved = to_lattice(x)
        seed = seed_of(None) if seed is None else seed
        states = certify_points(self, points, plan, seed)
        radius = torch.tensor([state.radius for state in states], dtype=torch.float64) - moved
        sure = radius >= 0
        selected = torch.tensor([state.selected for state in states])
        return Certificate(
            selected.where(sure, torch.tensor(ABSTAIN)),
            radius.where(sure, torch.tensor(math.nan, dtype=torch.float64)),
            torch.stack([state.votes for state in states]),
        )

    def describe(self) -> dict[str, Any]:
        return {"kind": "smoothed", **self.settings, **describe_head(self.classifier)}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        head = head_of(description).eval()
        return cls(head, description["sigma"], description["draws"], description["precision"])


def base_of(model: nn.Module) -> nn.Module:
    """The classifier behind the votes, where there are votes; else the model itself."""
    return model.classifier if isinstance(model, Smoothed) else model


def as_smoothed(
    target: nn.Module, sigma: float | None = None, precision: str | None = None
) -> Smoothed:
    """A base classifier as a smoothed one; one that is smoothed already, at another noise level or,
    in torch, in another precision where these are given.

    Raises:
        ConfigError: the target or a setting cannot be used, or a base has no ``sigma``.
    """
    if isinstance(target, Smoothed):
        level = target.sigma if sigma is None else sigma
        if precision is None:
            return target.at_sigma(level)
        return Smoothed(target.classifier, level, target.draws, precision)
    if sigma is None:
        raise ConfigError("sigma is missing; give the noise level that the base was trained with")
    return Smoothed(target, sigma, precision=precision or "float32")


def certify_points(
    smoothed: Smoothed,
    points: Tensor,
    plan: SamplingPlan,
    seed: int,
    states: list[State] | None = None,
    report: Callable[[int], object] = lambda votes: None,
) -> list[State]:
    """Vote on images of the lattice, int32 (B,3,H,W), until the plan is settled for each.

    Every image meets the same blocks of noise in the same order, drawn once for all of them. An
    image that is settled leaves.

    Args:
        states: what earlier votes with the same seed gave, to go on from.
        report: called with the number of votes after each block.
    """
    shape = tuple(points.shape[1:])
    error = smoothed.error(shape)
    if states is None:
        noise = smoothed.block(shape, seed, 0, "selection")
        firsts = [smoothed.count(point, noise) for point in points]
        states = [State.start(first) for first in firsts]
    states = list(states)
    number = min((state.draws for state in states), default=0) // BLOCK
    while any(not plan.settled(state) for state in states):
        noise = smoothed.block(shape, seed, number)
        number += 1
        cast = 0
        for place, state in enumerate(states):
            if state.draws < number * BLOCK and not plan.settled(state):
                votes = smoothed.count(points[place], noise)
                states[place] = plan.updated(state, votes, smoothed.sigma, error)
                cast += BLOCK
        report(cast)
    return states


def seed_of(source: seeding.Source | None) -> int:
    """A seed from a source of draws; from the operating system without one."""
    if source is None:
        return int(seeding.entropy().initial_seed())
    high, low = (seeding.uniform((2, 1), source).double().flatten() * 2**24).long().tolist()
    return int(high) << 24 | int(low)

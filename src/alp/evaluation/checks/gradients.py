"""The gradient that attackers follow is not zero, is the slope, and points the same way however it
is averaged; a declared surrogate leads uphill."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from alp import seeding
from alp.attacks import LOSSES, Target, input_gradient
from alp.attacks.gradients import score
from alp.evaluation.checks.base import CHECKS, Columns, Finding, Scene, percent, uncertainty
from alp.evaluation.suites import Suite

if TYPE_CHECKING:
    from alp.defences.base import Defence


ALIKE = 0.2
"""Least mean cosine of two averaged gradients."""
BLIND = 0.01
"""Share of images on which the attacker may be blind."""


@CHECKS.register("zero-gradient", order=7)
class ZeroGradient:
    """The averaged gradient of the cross-entropy is zero everywhere for next to no image, neither
    at the image nor at a random start. A stop-gradient makes it zero, and so does confidence:
    where the softmax is exact in float32 the cross-entropy has nothing to tell (Carlini and
    Wagner 2017, section IV)."""

    name = "zero-gradient"

    def applies(self, suite: Suite, defence: Defence) -> bool:
        return True

    def cost(self, suite: Suite) -> tuple[float, float]:
        return 2 * suite.probes.draws, 0

    def measure(self, scene: Scene, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        start = scene.threat.random_start(x, scene.source(self.name, x.device))
        return {
            f"{key}": self._zeros(scene, point, y)
            for key, point in {"clean": x, "start": start}.items()
        }

    def _zeros(self, scene: Scene, x: Tensor, y: Tensor) -> Tensor:
        """The share of a gradient's entries that are zero, (B,)."""
        target = scene.target(self.name, x.device, "eot", scene.probes.draws)
        gradient, _ = input_gradient(target, x, y, LOSSES["ce"])
        return (gradient == 0).flatten(1).cpu().double().mean(1)

    def conclude(self, own: Columns, record: Columns, suite: Suite) -> Finding:
        most = np.maximum(own["clean"], own["start"])
        blind = most == 1
        value, bound = float(blind.mean()), BLIND + uncertainty(blind)
        words = f"the gradient is zero everywhere for {percent(value)} of the images"
        if value > bound:
            words = f"gradient masking suspected: {words}"
        elif most.mean() > value:
            words += f", and {percent(most.mean())} of all its entries are"
        inequality = f"share of images with a zero gradient <= {percent(BLIND)} + tau"
        return Finding(self.name, value <= bound, value, bound, inequality, words)


AGREE = 0.9
"""Least share of images on which gradient and slope have to agree; a kink may be near others."""
TOLERANCE = 0.1
"""Relative difference that still is agreement."""
LENGTHS = {torch.float64: 1e-5, torch.float32: 1e-2}
"""Type to half the Euclidean distance of the two points of a difference: between the kinks of a
piecewise linear model and the rounding errors of the type."""
ROUNDING = 16
"""Units in the last place by which a loss may be off."""


@CHECKS.register("finite-difference", order=8)
class FiniteDifference:
    """Along the gradient and along a random direction the gradient of the margin, on a bank of
    draws, is its central difference. In float64, on a copy of the target; a target that cannot
    compute in float64 is asked in float32, at a greater distance.

    A target that declares a surrogate gradient has the check ``surrogate`` in its place.

    It finds gradients that are wrong: a path that is cut, a backward pass of somebody's own. A
    staircase, which is flat almost everywhere, has a gradient of zero that is right.
    """

    name = "finite-difference"

    def applies(self, suite: Suite, defence: Defence) -> bool:
        return not defence.surrogate

    def cost(self, suite: Suite) -> tuple[float, float]:
        return suite.probes.draws, 5 * suite.probes.draws

    def measure(self, scene: Scene, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        source = scene.source(self.name, x.device)
        random = seeding.normal(x.shape, source).to(x)
        try:
            target = scene.frozen(self.name, x.device, scene.defence.in_float64())
            with torch.no_grad():
                finer = target(x.double()).dtype == torch.float64
        except (RuntimeError, TypeError, ValueError):
            finer = False  # other people's code need not know float64
        if finer:
            x, random = x.double(), random.double()
        else:
            target = scene.frozen(self.name, x.device)
        agrees = _agrees(target, x, y, random)
        return {"agrees": agrees.cpu().double(), "float64": torch.full_like(x[:, 0, 0, 0], finer)}

    def conclude(self, own: Columns, record: Columns, suite: Suite) -> Finding:
        value, bound = float(own["agrees"].mean()), AGREE - uncertainty(own["agrees"])
        kind = "float64" if own["float64"].all() else "float32"
        words = f"gradient and finite differences agree for {percent(value)} of the images ({kind})"
        if value < bound:
            words = (
                f"gradient masking suspected: {words}; where it is a surrogate on purpose, such as "
                "BPDA's, declare it: --surrogate WORDS, or evaluate(..., surrogate=WORDS)"
            )
        inequality = f"share of images whose gradient is the slope >= {percent(AGREE)} - tau"
        return Finding(self.name, value >= bound, value, bound, inequality, words)


def _agrees(target: Target, x: Tensor, y: Tensor, random: Tensor) -> Tensor:
    """Whether the gradient at ``x`` predicts both differences, (B,)."""
    loss = LOSSES["margin"]
    reach = LENGTHS.get(x.dtype, LENGTHS[torch.float32])
    x = x.clamp(reach, 1 - reach)  # both points have to be images
    gradient, value = input_gradient(target, x, y, loss)
    length = gradient.flatten(1).norm(dim=1)
    rounding = ROUNDING * torch.finfo(x.dtype).eps * value.abs().clamp_min(1) / reach
    allowed = rounding + TOLERANCE * length / math.sqrt(x[0].numel())
    good = torch.ones_like(value, dtype=torch.bool)
    for direction in (gradient, random):
        norm = direction.flatten(1).norm(dim=1).clamp_min(torch.finfo(x.dtype).tiny)
        unit = direction / norm.view(-1, 1, 1, 1)
        ahead, behind = (score(target, x + sign * reach * unit, y, loss) for sign in (1, -1))
        slope = (ahead - behind) / (2 * reach)
        predicted = (gradient * unit).flatten(1).sum(1)
        larger = torch.maximum(slope.abs(), predicted.abs())
        good &= (slope - predicted).abs() <= TOLERANCE * larger + allowed
    return good


UPHILL = 0.9
"""Least share of images on which a step along the surrogate raises the loss more than one the
other way."""
STEP = 0.25
"""Length of the step in radii of the threat: that of the attacks' steps."""


@CHECKS.register("surrogate", order=8)
class Surrogate:
    """Of a target that declares its gradient to be a surrogate (BPDA's; Athalye et al. 2018,
    section 4.1): a step of an attack along it raises the margin of what the target really
    computes more than the same step the other way, and more than a random one.

    It stands in for ``finite-difference``: a surrogate is not the slope, and need not be.
    """

    name = "surrogate"

    def applies(self, suite: Suite, defence: Defence) -> bool:
        return bool(defence.surrogate)

    def cost(self, suite: Suite) -> tuple[float, float]:
        return suite.probes.draws, 3 * suite.probes.draws

    def measure(self, scene: Scene, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        target, loss = scene.frozen(self.name, x.device), LOSSES["margin"]
        gradient, _ = input_gradient(target, x, y, loss)
        random = seeding.normal(x.shape, scene.source(self.name, x.device)).to(x)
        length = STEP * scene.threat.eps
        ahead, behind, aside = (
            score(target, scene.threat.step(x, way, length).clamp(0, 1), y, loss)
            for way in (gradient, -gradient, random)
        )
        higher = (ahead > behind) & (ahead > aside)
        return {"uphill": higher.cpu().double()}

    def conclude(self, own: Columns, record: Columns, suite: Suite) -> Finding:
        value, bound = float(own["uphill"].mean()), UPHILL - uncertainty(own["uphill"])
        share = percent(value)
        words = f"a step along the declared surrogate leads uphill for {share} of the images"
        if value < bound:
            words = (
                f"the declared surrogate is of little use to an attacker: {words}; declare one "
                "that follows what the target computes, and believe no accuracy before"
            )
        inequality = f"share of images whose surrogate leads uphill >= {percent(UPHILL)} - tau"
        return Finding(self.name, value >= bound, value, bound, inequality, words)


@CHECKS.register("direction", order=5)
class Direction:
    """Two averages over draws of their own point the same way, at the image and at a random
    start: the attacker averages enough to know where to go. A gradient that is zero points
    nowhere, and counts as a cosine of 0."""

    name = "direction"

    def applies(self, suite: Suite, defence: Defence) -> bool:
        return defence.stochastic

    def cost(self, suite: Suite) -> tuple[float, float]:
        return 4 * suite.probes.draws, 0

    def measure(self, scene: Scene, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        start = scene.threat.random_start(x, scene.source(self.name, x.device))
        return {"clean": self._cosine(scene, x, y), "start": self._cosine(scene, start, y)}

    def _cosine(self, scene: Scene, x: Tensor, y: Tensor) -> Tensor:
        first, second = (self._gradient(scene, x, y, half) for half in range(2))
        return cosine_similarity(first, second, dim=1)

    def _gradient(self, scene: Scene, x: Tensor, y: Tensor, half: int) -> Tensor:
        """One averaged gradient, its largest entry 1: the squares of a confident model's tiny
        gradients would underflow."""
        target = scene.target(f"{self.name}/{half}", x.device, "eot", scene.probes.draws)
        gradient = input_gradient(target, x, y, LOSSES["ce"])[0].flatten(1)
        largest = gradient.abs().amax(1, keepdim=True)
        return gradient / largest.clamp_min(torch.finfo(gradient.dtype).tiny)

    def conclude(self, own: Columns, record: Columns, suite: Suite) -> Finding:
        value = float((own["clean"].mean() + own["start"].mean()) / 2)
        draws = suite.probes.draws
        words = f"two averages of {draws} gradients have a mean cosine of {value:.2f}"
        if value < ALIKE:
            words = f"randomness suspected: {words}, so that averaging {draws} draws is too little"
        inequality = f"mean cosine of two EOT-{draws} gradients >= {ALIKE:g}"
        return Finding(self.name, value >= ALIKE, value, ALIKE, inequality, words)

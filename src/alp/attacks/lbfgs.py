"""L-BFGS: the smallest change that alters the class, found by a quasi-Newton method."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING

from alp.attacks import resumable
from alp.attacks.base import ATTACKS, Source, Target, Threat, checked, require, require_count
from alp.attacks.gradients import input_gradient, score
from alp.attacks.losses import margin

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray
    from torch import Tensor

_FACTOR = 10.0  # of c, until both a success and a failure are known


@ATTACKS.register("lbfgs", order=5)
@dataclass(frozen=True)
class LBFGS:
    """Box-constrained L-BFGS (Szegedy et al. 2014, section 4.1): least c |r|^2 + loss(x + r),
    with a search for the largest c whose solution r changes the class.

    Their loss leads to one given class; this one, -log(1 - p_label), to the nearest of all others,
    and with two classes is the same. The length is Euclidean whatever the threat. It draws
    nothing, and is meant for a target that does not either (a bank of known draws): a line search
    trusts every value. Needs SciPy.
    """

    steps: int = 30
    """Number of gradients for one c, give or take a line search (20)."""
    searches: int = 10
    """Number of values of c tried for an image."""

    def __post_init__(self) -> None:
        require_count("steps", self.steps)
        require_count("searches", self.searches)

    @property
    def calls(self) -> tuple[int, int]:
        """At most about so many for one image; images come one by one."""
        return 1 + self.searches * self.steps, self.searches

    def __call__(
        self, target: Target, x: Tensor, y: Tensor, threat: Threat, source: Source
    ) -> Tensor:
        """For each of the images (B,3,H,W) the nearest point found that is wrong, projected to
        the threat: wrong still only if it lay inside. An image that is wrong already stays.

        Raises:
            AlpError: SciPy is missing.
            ConfigError: the images, labels or the target's logits cannot be used.
        """
        require("scipy.optimize", "L-BFGS")
        x = checked(x, y)
        state = SimpleNamespace(found=x)
        for index in resumable.steps(len(x), state):
            one = slice(index, index + 1)
            found = state.found.clone()
            found[one] = _nearest_wrong(target, x[one], y[one], self.steps, self.searches)
            state.found = found
        return threat.project(state.found, x)


def _nearest_wrong(target: Target, x: Tensor, y: Tensor, steps: int, searches: int) -> Tensor:
    """The shortest change of one image (1,3,H,W) that is wrong, over all c; where none is, the
    solution of the least c.

    The first c is the answer for a linear model of two classes: at distance t of its boundary,
    where the loss has half the slope w of the margin, 2 c t = w / 2; halved, since on the boundary
    itself rounding decides. From there c goes up by tens while solutions are wrong or down while
    they are right, and then by bisection of its logarithm.
    """
    slope, value = input_gradient(target, x, y, margin)
    if value > 0:
        return x
    c = (slope.double().square().sum() / (-8 * value.double()).clamp_min(1e-12)).item()
    best, shortest = x, math.inf
    wrong_at = right_at = None
    for _ in range(searches):
        point = _solve(target, x, y, c, steps)
        length = (point - x).square().sum().item()
        if score(target, point, y, margin) > 0:
            wrong_at = c
            if length < shortest:
                best, shortest = point, length
        else:
            right_at = c
            best = point if wrong_at is None else best
        if right_at is None:
            c *= _FACTOR
        elif wrong_at is None:
            c /= _FACTOR
        else:
            c = math.sqrt(wrong_at * right_at)
    return best


def _solve(target: Target, x: Tensor, y: Tensor, c: float, steps: int) -> Tensor:
    """Least c |r|^2 - log(1 - p_label) at x + r in [0,1], from r = 0. SciPy works in float64."""
    import torch

    minimize = require("scipy.optimize", "L-BFGS").minimize

    clean = x.double().cpu().flatten().numpy()

    def image(values: NDArray[float64]) -> Tensor:
        return torch.from_numpy(values).view(x.shape).to(x)

    def objective(values: NDArray[float64]) -> tuple[float, NDArray[float64]]:
        slope, loss = input_gradient(target, image(values), y, _doubt)
        change = values - clean
        rise = 2 * c * change - slope.double().cpu().flatten().numpy()
        return c * float(change @ change) - loss.item(), rise

    options = {"maxfun": steps, "ftol": torch.finfo(x.dtype).eps}
    bounds = [(0.0, 1.0)] * len(clean)
    found = minimize(objective, clean, method="L-BFGS-B", jac=True, bounds=bounds, options=options)
    return image(found.x)


def _doubt(logits: Tensor, y: Tensor) -> Tensor:
    """log(1 - p_label), (B,), finite however sure the target is; of soft labels the largest
    counts."""
    index = (y.argmax(1) if y.ndim == 2 else y).unsqueeze(1)
    return logits.scatter(1, index, float("-inf")).logsumexp(1) - logits.logsumexp(1)

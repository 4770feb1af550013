"""A problem whose accurate and whose robust classifier differ, in closed form (Tsipras et al. 2019,
"Robustness may be at odds with accuracy", section 2.1).

The label y is -1 or 1. One feature is y with probability p, else -y; ``features`` others are normal
around ``mean`` y with deviation 1. An attacker moves every feature by up to eps (Linf). The others
together tell the label better than the first does, and an attacker of eps >= mean takes all of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from alp.config import check_types, positive, within


def _phi(at: float) -> float:
    """The normal distribution function."""
    return (1 + math.erf(at / math.sqrt(2))) / 2


@dataclass(frozen=True)
class Toy:
    """The problem. Its classifiers are sign(weight * first + sum of the others)."""

    features: int = 100
    """Number of weakly correlated features."""
    reliable: float = 0.95
    """Probability p that the first feature is the label, above a half."""
    mean: float = 0.3
    """Mean of the others times the label, at most 0.45; 3 / sqrt(features) tells 99.9 % of the
    labels."""

    def __post_init__(self) -> None:
        check_types(self)
        positive(self, "features", "mean")
        within(self, 0.0, 0.45, "mean")
        within(self, 0.5, 1.0, "reliable")

    def accuracy(self, weight: float, eps: float = 0.0) -> float:
        """Share of labels that the classifier has right under the strongest attack.

        Args:
            weight: of the first feature, from 0 to infinity, where it decides alone.
            eps: radius of the attack, below 1.
        """
        p, root = self.reliable, math.sqrt(self.features)
        if math.isinf(weight):
            return p
        left = root * (self.mean - eps)
        agrees = _phi(left + weight * (1 - eps) / root)
        return p * agrees + (1 - p) * _phi(left - weight * (1 + eps) / root)

    def optimum(self, eps: float = 0.0) -> float:
        """The weight of highest accuracy under an attack of radius ``eps`` below 1.

        Where the derivative by the weight a is zero, 2 eps a^2 / d - 2 m a + L = 0 with
        m = mean - eps and L = log(p (1 - eps) / ((1 - p) (1 + eps))). Its smaller root is the only
        maximum between the ends, which are no first feature and the first feature alone. At eps 0
        it is the Bayes classifier, a = log(p / (1 - p)) / (2 mean).
        """
        p, left = self.reliable, self.mean - eps
        if left <= 0 or p == 1:
            return math.inf
        odds = math.log(p * (1 - eps) / ((1 - p) * (1 + eps)))
        root = left**2 - 2 * eps * odds / self.features
        if odds <= 0:
            weight = 0.0
        elif eps == 0:
            weight = odds / (2 * left)
        elif root < 0:
            weight = math.inf
        else:
            weight = (left - math.sqrt(root)) * self.features / (2 * eps)
        return weight if self.accuracy(weight, eps) >= p else math.inf

    def bound(self, accuracy: float) -> float:
        """The most that a classifier of this clean accuracy can have right under an attack of twice
        the mean (theorem 2.1)."""
        if self.reliable == 1:
            return 1.0
        return min(1.0, self.reliable / (1 - self.reliable) * (1 - accuracy))

"""Whether certificates are right: linear classifiers, whose true radius is known in closed form.

    python benchmarks/soundness.py [--trials 10000] [--far 20]

Each trial has a hyperplane and an image of its own. The radius within which the smoothed class does
not change is the distance to the hyperplane (Cohen et al. 2019, appendix B), so that a larger
certified radius, or another class than the hyperplane's, is a violation. At most alpha of the
trials may have one. Then, for ``--far`` trials with 100,000 votes of the method ``fixed``, the
share of the true radius that is certified.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
from collections.abc import Sequence
from typing import Literal

import torch
from scipy.stats import binom
from torch import Tensor, nn

import alp
from alp import seeding

SIDE = 2
"""Pixels a side: few, so that a vote is cheap; the theorem knows no size."""

SIGMA = 0.25


class Hyperplane(nn.Module):
    """Two classes, on either side of a hyperplane at ``distance`` from an image."""

    def __init__(self, image: Tensor, distance: float, source: torch.Generator) -> None:
        super().__init__()
        normal = seeding.normal((image.numel(),), source).double()
        self.normal = normal / normal.norm()
        self.offset = self.normal @ image.double().flatten() - distance

    def forward(self, x: Tensor) -> Tensor:
        side = x.double().flatten(1) @ self.normal - self.offset
        return torch.stack([-side, side], 1)


def trial(
    number: int, distance: float, budget: int, method: Literal["anytime", "fixed"], alpha: float
) -> tuple[int, float]:
    """Class (1 is right, -1 open) and certified radius of an 8-bit image."""
    source = seeding.generator(0, "soundness", number)
    image = seeding.uniform((1, 3, SIDE, SIDE), source).mul(255).round().div(255)
    base = Hyperplane(image[0], distance, source).eval()
    radii = (0.0, 0.25, 0.5) if method == "anytime" else (0.0,)
    told = alp.Smoothed(base, SIGMA).certify(
        image, radii=radii, alpha=alpha, budget=budget, method=method, seed=number
    )
    return int(told.prediction), float(told.radius)


def main(argv: Sequence[str] | None = None) -> None:
    """Print violations, and how near certificates come to the truth."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--far", type=int, default=20)
    parser.add_argument("--budget", type=int, default=1_000)
    parser.add_argument("--alpha", type=float, default=0.001)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    distances = 0.6 * seeding.uniform((options.trials,), seeding.generator(0, "distances"))
    wrong = certified = 0
    for number, distance in enumerate(distances.tolist()):
        label, radius = trial(number, distance, options.budget, "anytime", options.alpha)
        certified += label != -1
        wrong += label == 0 or radius > distance
    allowed = int(binom.ppf(0.99, options.trials, options.alpha))
    print(f"{options.trials:,} trials, alpha {options.alpha:g}: {certified:,} certified, {wrong} "
          f"wrong ({allowed} or fewer are expected with probability 0.99)")  # fmt: skip
    shares = []
    for number in range(options.far):
        distance = 0.1 + 0.5 * number / max(1, options.far - 1)
        label, radius = trial(number, distance, 100_000, "fixed", options.alpha)
        wrong += label == 0 or radius > distance
        shares.append(radius / distance)
    if shares:
        print(f"100,000 votes, distances 0.1 to 0.6: {min(shares):.3f} to {max(shares):.3f} of the "
              "true radius certified")  # fmt: skip
    if wrong > allowed:
        raise SystemExit("the certificates are wrong")


if __name__ == "__main__":
    main()

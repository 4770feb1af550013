"""What stopping early costs: certified accuracy by the anytime test beside 100,000 votes an image.

    python benchmarks/anytime.py --images 500 --budget 10000 --precision bfloat16 --out runs/anytime

Both get the same images and the same engine. 100,000 votes on each of 500 images take hours, and on
most images the answer is known before: the fixed test is counted as certifying every radius that
the anytime test certifies, and none that it refutes, each of which is wrong with a probability of
at most alpha. It casts its votes on the images that the anytime test left open. Interrupted, the
same command goes on where it stopped.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

import alp
from alp.cli.common import CALIBRATION, calibration_images
from alp.data import Images
from alp.defences.plan import SamplingPlan
from alp.defences.smoothed import Smoothed
from alp.evaluation.certify import CertifyConfig, certify_into, smoothed_of, voters
from alp.evaluation.crew import Crew
from alp.progress import on_terminal
from alp.records import Record

RADII = (0.0, 0.25, 0.5)

FIXED = 100_000
"""Votes of the fixed test (Cohen et al. 2019)."""


def voted(
    smoothed: Smoothed, images: Images, plan: SamplingPlan, folder: Path, crew: Crew
) -> Record:
    """The record of one plan on these images, made or read."""
    with on_terminal(None) as show:
        return certify_into(
            folder,
            plan.method,
            smoothed,
            images,
            CertifyConfig(plan),
            lambda done, total, votes: show(plan.method, done, total),
            crew=crew,
        )


def certified_by(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Whether each radius is certified for each image, (radii, images)."""
    return np.stack([columns["radius"] >= each for each in RADII])


def left_open(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Whether the anytime test neither certifies nor refutes each radius, (radii, images)."""
    return ~certified_by(columns) & np.stack([columns["refuted"] > each for each in RADII])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, default=Path("cifar10-certified"))
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--budget", type=int, default=20_000, help="most votes of the anytime test")
    parser.add_argument("--fixed", type=int, default=FIXED, help="votes of the fixed test")
    parser.add_argument("--backend", default="openvino")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--processes", type=int, default=1, help="of one thread each")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)

    images = alp.load_data(args.data, "test").take(args.images)
    ranges = None
    if args.precision == "int8":
        ranges = calibration_images(args.data, 0, CALIBRATION)
    smoothed = smoothed_of(
        alp.load(str(args.weights)), None, args.precision, args.backend, calibration=ranges
    )
    crew = voters(args.processes, 1)
    plan = SamplingPlan(RADII, budget=args.budget)
    anytime = voted(smoothed, images, plan, args.out, crew)
    right = anytime.columns["selected"] == anytime.columns["label"]
    certified, undecided = certified_by(anytime.columns), left_open(anytime.columns)
    rows = np.flatnonzero(undecided.any(0))
    fixed = certified.copy()
    if rows.size:
        rest = images.subset(torch.from_numpy(rows))
        plan = SamplingPlan(RADII, budget=args.fixed, method="fixed")
        record = voted(smoothed, rest, plan, args.out, crew)
        fixed[:, rows] |= undecided[:, rows] & certified_by(record.columns)
    for each, ours, theirs in zip(RADII, certified & right, fixed & right, strict=True):
        early, late = 100 * ours.mean(), 100 * theirs.mean()
        told = f"radius {each:g}: anytime {early:.1f} %, fixed {late:.1f} %"
        print(f"{told}, difference {early - late:+.1f} points")
    mean = float(anytime.columns["draws"].mean())
    told = (
        f"votes an image: anytime {mean:,.0f}, fixed {args.fixed:,}, ratio {args.fixed / mean:.0f}"
    )
    print(f"{told}; {rows.size} of {len(images)} images left open")


if __name__ == "__main__":
    main()

"""Votes a second of one core: what certifying costs beside the network alone. The bare network sees
the same block of 128 noisy images again and again; certifying draws the noise, adds it, counts the
votes and decides, image by image. All by turns in one run, on one thread, in seconds of processor
time. Prints votes a second, and the ratio of certifying to the bare network of the same engine.

    python benchmarks/votes.py [--weights cifar10-lite/adversarial] [--images 32] [--rounds 3]

Every vote counts, those that select an image's class too.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch

import alp
from alp.cli.common import calibration_images
from alp.data import Images
from alp.defences.base import classify
from alp.defences.lattice import to_floats, to_lattice
from alp.defences.plan import BLOCK, SamplingPlan
from alp.defences.smoothed import Smoothed
from alp.evaluation.certify import CertifyConfig, run, smoothed_of

WAYS = ("eager float32", "eager bfloat16", "openvino float32", "openvino bfloat16", "openvino int8")


def bare(smoothed: Smoothed, data: Images, blocks: int) -> float:
    """Votes a second of the network alone."""
    shape = tuple(data.images.shape[1:])
    points, _ = to_lattice(data.images[:1])
    images = to_floats(points[0] + smoothed.block(shape, 0, 0))
    half = smoothed.engine is None and smoothed.precision == "bfloat16"
    if smoothed.engine is None:
        images = images.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
        start = time.process_time()
        for _ in range(blocks):
            smoothed.engine(images) if smoothed.engine else classify(smoothed.classifier, images)
    return blocks * BLOCK / (time.process_time() - start)


def certifying(smoothed: Smoothed, data: Images, config: CertifyConfig) -> tuple[float, int]:
    """Votes a second, and the votes."""
    start = time.process_time()
    record = run(smoothed, data, config)
    seconds = time.process_time() - start
    votes = int(record.columns["draws"].sum()) + BLOCK * len(data)
    return votes / seconds, votes


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", default="cifar10-lite/adversarial")
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--sigma", type=float, default=0.25)
    parser.add_argument("--budget", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    model, data = alp.load(options.weights), alp.load_data(options.data, "test")
    data = data.take(options.images)
    config = CertifyConfig(SamplingPlan(budget=options.budget))
    size = (data.images.shape[2], data.images.shape[3])
    ways: dict[str, Smoothed] = {}
    for way in options.ways:
        backend, precision = way.split()
        ranges = calibration_images(options.data, 0, 128) if precision == "int8" else None
        ways[way] = smoothed_of(model, options.sigma, precision, backend, size, calibration=ranges)
        bare(ways[way], data, 2)  # the first calls compile
    found: dict[str, dict[str, list[float]]] = {
        way: {"bare": [], "certify": [], "votes": []} for way in ways
    }
    blocks = max(4, options.images)
    for _ in range(options.rounds):
        for way, smoothed in ways.items():
            before = bare(smoothed, data, blocks)
            rate, votes = certifying(smoothed, data, config)
            row = found[way]
            row["bare"].append((before + bare(smoothed, data, blocks)) / 2)
            row["certify"].append(rate)
            row["votes"].append(votes)
    told = {}
    median: Callable[[Sequence[float]], float] = statistics.median
    for way, row in found.items():
        ratios = [ours / alone for ours, alone in zip(row["certify"], row["bare"], strict=True)]
        told[way] = {key: median(values) for key, values in row.items()} | {"ratio": median(ratios)}
        print(
            f"{way:<18} bare {told[way]['bare']:7,.0f} votes/s   certify "
            f"{told[way]['certify']:7,.0f} votes/s   ratio {told[way]['ratio']:.3f} "
            f"({min(ratios):.3f} to {max(ratios):.3f})   {told[way]['votes'] / len(data):,.0f} "
            "votes an image"
        )
    return told


if __name__ == "__main__":
    main()

"""What the sequential consensus saves, and how often it decides otherwise than all draws do: on
clean images, and on images attacked by PGD on the mean over draws (EOT).

    python benchmarks/consensus.py --weights W [--data cifar10] [--images 1000] [--errors 0.05 0.2]

All draws of an image are made once; the consensus is shown the first ones of them, as in serving.
`alp bench` measures what the draws cost.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

import alp
from alp import seeding
from alp.attacks import PGD, Linf
from alp.deploy import Consensus
from alp.evaluation import KNOWLEDGE
from alp.records.statistics import wilson


def logits_of(options: argparse.Namespace) -> Iterator[tuple[str, np.ndarray]]:
    """Name of the points, and the logits of all draws of a batch of them, (draws,B,K)."""
    defence = alp.load(options.weights)
    data = alp.load_data(options.data, "test")
    data = data.take(min(options.images, len(data)), options.seed)
    threat, attack = Linf(8 / 255), PGD(steps=options.steps)

    def made(name: str, points: Tensor, number: int) -> tuple[str, np.ndarray]:
        source = seeding.generator(options.seed, f"judge/{name}", number)
        with torch.inference_mode():
            return name, defence.logits(points, source, defence.draws).numpy()

    for number, (_, x, y) in enumerate(data.batches(options.batch)):
        yield made("clean", x, number)
        own, theirs = (seeding.generator(options.seed, what, number) for what in ("a", "b"))
        target = KNOWLEDGE["eot"](defence, theirs, options.averaged)
        yield made("attacked", attack(target, x, y, threat, own), number)


def decided(rule: Consensus, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each image's class is that of all draws, and the draws that it took."""
    tally, total = rule.begin(logits.shape[1]), np.zeros(logits.shape[1:])
    while len(tally.rows):
        rows, first = tally.rows, tally.draws[tally.rows[0]]
        now = logits[first : first + tally.next, rows]
        total[rows] += now.sum(0)
        tally.count(now)
    return total.argmax(1) == logits.mean(0).argmax(1), tally.draws


def main(arguments: Sequence[str] | None = None) -> dict[tuple[str, float], dict[str, float]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", required=True, help="weights of a trained defended model")
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--steps", type=int, default=10, help="of PGD")
    parser.add_argument("--averaged", type=int, default=5, help="draws a gradient")
    parser.add_argument("--errors", type=float, nargs="+", default=[Consensus().error])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    held: dict[str, list[np.ndarray]] = {}
    for name, logits in logits_of(options):
        held.setdefault(name, []).append(logits)
    found = {}
    for name, parts in held.items():
        logits = np.concatenate(parts, 1)
        for error in options.errors:
            same, draws = decided(Consensus(draws=len(logits), error=error), logits)
            interval = wilson(int(same.sum()), len(same))
            row = {"same": same.mean(), "draws": draws.mean(), "all": (draws == len(logits)).mean()}
            found[name, error] = {key: float(value) for key, value in row.items()}
            print(
                f"{name:<9} error {error:<6g} {row['draws']:5.2f} of {len(logits)} draws, "
                f"all of them for {row['all']:6.2%}; same decision {row['same']:7.2%} of "
                f"{len(same):,} images ({interval.low:.2%} to {interval.high:.2%})"
            )
    return found


if __name__ == "__main__":
    main()

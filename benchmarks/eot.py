"""The EOT gradient behind one pass of the encoder beside the two ways that everyone else takes it:
the loop over draws (torchattacks' EOTPGD), and the packaged APGD with ``eot_iter`` (pyautoattack).
The same model, batch and number of draws, alternating in one run. Prints the median time of a step,
the peak memory of each in a process of its own, their ratios, and how far the gradients differ in
float64 under the very same draws.

    python benchmarks/eot.py [--weights W] [--batch 16] [--draws 20] [--steps 5]
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from pyautoattack.autopgd_base import APGDAttack
from torch import Tensor
from torch.nn import functional as F

import alp
from alp import seeding
from alp.attacks.gradients import input_gradient
from alp.attacks.losses import cross_entropy
from alp.config import ClassifierConfig, PurifierConfig
from alp.defences import Defended, Purifier, ResNetLite

EPS = 8 / 255

Way = Callable[[Defended, Tensor, Tensor, seeding.Source, int], Tensor]


def shared(defended: Defended, x: Tensor, y: Tensor, source: seeding.Source, draws: int) -> Tensor:
    """One pass of the encoder, ``draws`` of decoder and classifier."""
    return input_gradient(lambda x: defended.logits(x, source, draws), x, y, cross_entropy)[0]


def loop(defended: Defended, x: Tensor, y: Tensor, source: seeding.Source, draws: int) -> Tensor:
    """``draws`` full passes, whose gradients are added up: a step of torchattacks' EOTPGD."""
    point, gradient = x.clone().requires_grad_(), torch.zeros_like(x)
    for _ in range(draws):
        loss = F.cross_entropy(defended.predict(point, source, 1), y, reduction="sum")
        gradient += torch.autograd.grad(loss, point)[0]
    return gradient / draws


def packaged(
    defended: Defended, x: Tensor, y: Tensor, source: seeding.Source, draws: int
) -> Tensor:
    """The gradient from which the packaged APGD takes its first step: what it sums up is seen by a
    hook on the point that it passes to the model."""
    seen: list[Tensor] = []

    def model(point: Tensor) -> Tensor:
        if not seen:
            point.register_hook(seen.append)
        logits: Tensor = defended.predict(point, source, 1)
        return logits

    attack = APGDAttack(model, n_iter=0, eps=EPS, eot_iter=draws, device=x.device)
    attack.init_hyperparam(x)
    attack.attack_single_run(x, y, x_init=x)
    return torch.stack(seen).sum(0) / draws


WAYS: dict[str, Way] = {"shared": shared, "loop": loop, "packaged": packaged}


def model_of(weights: str | None) -> Defended:
    """The model of a weights file, or an untrained one of the architecture of the `cpu` recipes."""
    if weights is None:
        with seeding.initialising(0, "benchmark"):
            return Defended(ResNetLite(ClassifierConfig("lite")), Purifier(PurifierConfig())).eval()
    model = alp.load(weights)
    if not isinstance(model, Defended):
        raise SystemExit(f"{weights} holds no defended model; give one that 'alp train' wrote")
    return model


def peak(way: str, options: argparse.Namespace) -> float:
    """MiB that a process of its own holds at most, less what it holds before its first gradient."""
    command = [sys.executable, __file__, "--measure", way]
    for name in ("weights", "batch", "draws", "size", "seed"):
        if getattr(options, name) is not None:
            command += [f"--{name}", str(getattr(options, name))]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(way: Way, defended: Defended, x: Tensor, y: Tensor, draws: int) -> float:
    """What `peak` asks of this process."""
    source = seeding.generator(0, "memory")
    way(defended, x[:1], y[:1], source, 1)  # what torch sets up once is no cost of a step
    before = held("VmRSS")
    way(defended, x, y, source, draws)
    return held("VmHWM") - before


def held(which: str) -> float:
    """MiB that this process holds (VmRSS), or has held at most (VmHWM). Of Linux: getrusage's
    ru_maxrss starts at what the parent process has held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(which))


def difference(defended: Defended, x: Tensor, y: Tensor, draws: int, seed: int) -> dict[str, float]:
    """How far a way's gradient is from the shared one in float64, relative to its largest entry.
    The draws are the same: all ways ask a generator for the noise of one draw after the other."""
    twin, points = defended.in_float64(), x.double()
    found = {
        name: way(twin, points, y, seeding.generator(seed, "draws"), draws)
        for name, way in WAYS.items()
    }
    scale = found["shared"].abs().max()
    return {
        name: float((each - found["shared"]).abs().max() / scale) for name, each in found.items()
    }


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", help="weights of a defended model (default: untrained)")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--steps", type=int, default=5, help="steps of each way that are timed")
    parser.add_argument("--size", type=int, default=32, help="height and width of the images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    defended = model_of(options.weights)
    source = seeding.generator(options.seed, "images")
    x = seeding.uniform((options.batch, 3, options.size, options.size), source)
    y = torch.arange(options.batch) % defended.classifier.config.classes
    if options.measure:
        print(measure(WAYS[options.measure], defended, x, y, options.draws))
        return {}
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for step in range(-1, options.steps):
        for name, way in WAYS.items():
            start = time.perf_counter()
            way(defended, x, y, seeding.generator(options.seed, "draws", step + 1), options.draws)
            if step >= 0:  # the first of each is to warm up
                times[name].append(time.perf_counter() - start)
    apart = difference(defended, x, y, options.draws, options.seed)
    found = {
        name: {
            "seconds": statistics.median(times[name]),
            "mebibytes": peak(name, options),
            "difference": apart[name],
        }
        for name in WAYS
    }
    print(f"{options.draws} draws of {options.batch} images, {torch.get_num_threads()} threads")
    print(f"{'':10}{'s a step':>12}{'ratio':>8}{'peak MiB':>12}{'ratio':>8}{'difference':>14}")
    for name, row in found.items():
        slower, larger = (row[key] / found["shared"][key] for key in ("seconds", "mebibytes"))
        print(
            f"{name:10}{row['seconds']:>12.4f}{slower:>8.2f}{row['mebibytes']:>12.0f}"
            f"{larger:>8.2f}{row['difference']:>14.1e}"
        )
    return found


if __name__ == "__main__":
    main()

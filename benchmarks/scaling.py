"""How an evaluation scales: the times of its units, measured, and the scheduler, simulated.

    python benchmarks/scaling.py [--images 64] [--batch_size 16] [--rate 2000]

Prints for a small evaluation on this processor the core-seconds that ``--plan`` expects, those that
were measured and their ratio, task by task, and how much the units of a task differ (the standard
deviation of the logarithm). Then what ImageNet's 50,000 images under suite ``standard`` take on 1,
8, 64 and 512 GPUs, if a GPU makes ``--rate`` forward passes of the classifier a second and a
gradient takes three times as long: units of 64 images, whose times differ as measured, one in a
thousand of which is lost at its end and done again, on workers that take a minute to start.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import math
import statistics
import time

import numpy as np
import torch

import alp
from alp.evaluation import EvalConfig
from alp.evaluation.adaptive import Adaptive
from alp.evaluation.evaluator import run
from alp.evaluation.planning import Estimate, estimate, makespan
from alp.evaluation.schedule import Unit, units
from alp.evaluation.tasks import Context

IMAGENET, BATCH, START, LOST = 50_000, 64, 60.0, 1e-3
GRADIENT = 3.0
"""Forward passes that a gradient takes."""


def measured(weights: str, images: int, batch_size: int) -> tuple[Estimate, dict[str, list[float]]]:
    """The estimate, and the core-seconds of each unit by task."""
    torch.set_num_threads(1)
    model, data = alp.load(weights), alp.load_data("cifar10", "test").take(images)
    config = EvalConfig("quick", alp.Linf(8 / 255), batch_size=batch_size)
    expected = estimate(model, data, config)
    times: dict[str, list[float]] = {}
    last = [time.process_time()]

    def progress(task: str, done: float, total: float) -> None:
        now = time.process_time()
        times.setdefault(task, []).append(now - last[0])
        last[0] = now

    run(model, data, config, progress=progress)
    times.pop("start")
    return expected, times


def spread_of(times: dict[str, list[float]]) -> float:
    """Standard deviation of the logarithm of a unit's time beside the others of its task."""
    logs = [[math.log(max(each, 1e-3)) for each in own] for own in times.values() if len(own) > 1]
    return math.sqrt(statistics.mean(statistics.variance(own) for own in logs))


def imagenet(draws: int, rate: float) -> tuple[list[Unit], dict[Unit, int], dict[Unit, float]]:
    """Units, what each has to wait for, and seconds on a GPU, of a model with so many draws."""
    model = alp.load("cifar10-lite" if draws > 1 else "cifar10-lite/adversarial")
    context = Context(model.with_draws(draws), {}, alp.Linf(4 / 255), 0)
    tasks = Adaptive("standard").fitted(context, "linf", 1000).tasks(context)
    every = units(tasks, IMAGENET, BATCH)
    costs = [GRADIENT * task.cost[0] + task.cost[1] for task in tasks]
    seconds = {unit: costs[unit.task] * len(unit.rows) / rate for unit in every}
    return every, {unit: tasks[unit.task].after for unit in every}, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="cifar10-lite/adversarial")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2000.0, help="forward passes a second")
    options = parser.parse_args()
    expected, times = measured(options.weights, options.images, options.batch_size)
    for number, task in enumerate(expected.tasks):
        told = sum(expected.of(unit) for unit in expected.every if unit.task == number)
        print(f"  {task.name:<28} expected {told:7.2f} s, measured {sum(times[task.name]):7.2f} s")
    real = sum(map(sum, times.values()))
    print(
        f"{options.weights}: expected {expected.core_seconds:.1f} core-seconds, measured "
        f"{real:.1f}, ratio {expected.core_seconds / real:.2f}"
    )
    spread = spread_of(times)
    print(f"units of a task differ by a factor of exp({spread:.2f})")
    source = np.random.default_rng(0)
    for draws in (1, 20):
        every, after, seconds = imagenet(draws, options.rate)
        total = sum(seconds.values())
        print(
            f"ImageNet, {draws} draws: {len(every):,} units, {total / 3600:,.0f} GPU-hours, the "
            f"longest unit {max(seconds.values()):,.0f} s"
        )
        for workers in (1, 8, 64, 512, 4096):
            noise = source.lognormal(-(spread**2) / 2, spread, len(every))
            again = 1 + (source.random(len(every)) < LOST)
            drawn = {
                unit: seconds[unit] * factor * runs
                for unit, factor, runs in zip(every, noise, again, strict=True)
            }
            wall = makespan(drawn, after, workers, START)
            print(
                f"  {workers:>5} GPUs: {wall / 3600:9.2f} hours, "
                f"{100 * total / (workers * wall):5.1f} % of {workers} times one",
                flush=True,
            )


if __name__ == "__main__":
    main()

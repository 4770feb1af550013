"""The null test: at a radius of 1e-7 nothing can be attacked, and what is reported has to be the
clean accuracy. Prints, on the same images, the clean accuracy of the deployed prediction with its
Wilson interval, the worst case that `alp.evaluate` reports, and the robust accuracy that the
packaged ensemble for randomised models reports (AutoAttack, version ``rand``, by its own driver).

    python benchmarks/null.py --weights W [--data cifar10] [--images 100] [--suite quick]

The driver calls an image broken where any one of three answers is wrong: to the clean image, and to
the point of each of its two attacks. At this radius all three are the same image, whatever the
attacks do, so that fewer steps (--rand-steps, --rand-eot) save hours and change nothing else.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
from collections.abc import Sequence

import torch
from pyautoattack import AutoAttack

import alp
from alp import seeding
from alp.attacks.library.base import guarded
from alp.data import Images
from alp.defences import Defended
from alp.records.statistics import wilson

EPS = 1e-7


def clean(model: Defended, data: Images, batch: int, seed: int) -> float:
    """Share of the images that the deployed prediction has right."""
    right = 0
    with torch.no_grad():
        for number, (_, x, y) in enumerate(data.batches(batch)):
            logits = model(x, seeding.generator(seed, "clean", number))
            right += int((logits.argmax(1) == y).sum())
    return right / len(data)


def packaged(model: Defended, data: Images, options: argparse.Namespace, draws: int) -> float:
    """Robust accuracy by the packaged ensemble of the model with ``draws`` draws an answer."""
    x, y = data.batch(torch.arange(len(data)))
    source = seeding.generator(options.seed, "rand")
    # Its driver sets the trace function and the global generator.
    with guarded(source, x.device) as seed:
        attack = AutoAttack(
            lambda points: model(points, source, draws=draws),
            norm="Linf",
            eps=EPS,
            version="rand",
            seed=seed,
            device="cpu",
        )
        attack.apgd.n_iter, attack.apgd.eot_iter = options.rand_steps, options.rand_eot
        _, answers = attack.run_standard_evaluation(x, y, batch_size=options.batch)
    return int((answers == y).sum()) / len(data)


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", required=True, help="weights of a trained defended model")
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--suite", default="quick")
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rand-steps", type=int, default=100, help="the ensemble's are 100")
    parser.add_argument("--rand-eot", type=int, default=20, help="the ensemble's are 20")
    parser.add_argument(
        "--rand-draws", type=int, nargs="+", help="draws an answer (default: the deployed ones)"
    )
    options = parser.parse_args(arguments)
    model = alp.load(options.weights)
    if not isinstance(model, Defended):
        raise SystemExit(f"{options.weights} holds no defended model; give one 'alp train' wrote")
    data = alp.load_data(options.data, "test").take(options.images)

    share = clean(model, data, options.batch, options.seed)
    low, high = wilson(share * len(data), len(data))
    print(f"clean, {model.draws} draws: {share:.1%} ({low:.1%} to {high:.1%})", flush=True)
    record = alp.evaluate(
        model, data, alp.Linf(EPS), options.suite, batch_size=options.batch, seed=options.seed
    )
    worst = alp.conclude(record)["worst"]
    print(
        f"alp {options.suite}: {worst['value']:.1%} ({worst['low']:.1%} to {worst['high']:.1%})",
        flush=True,
    )
    found = {"clean": share, "low": low, "high": high, "alp": worst["value"]}
    for draws in options.rand_draws or [model.draws]:
        name = f"rand, {draws} draws an answer"
        found[name] = packaged(model, data, options, draws)
        print(
            f"packaged {name}: {found[name]:.1%} "
            f"({options.rand_steps} steps, eot_iter {options.rand_eot})"
        )
    return found


if __name__ == "__main__":
    main()

r"""Chosen attackers who only ask, with a large budget, or against several noise levels.

    python benchmarks/queries.py --weights W --attackers square rays --answers 1 8 \
        --queries 10000 --images 32 [--sigmas 0.5 1 2] [--surrogates S] --out runs/asked

`alp evaluate --suite queries` has every attacker and every k, which costs too much where the budget
is large. Prints, for each noise level, what the best of the chosen attackers leaves after each
number of queries; `alp report` draws the records. Interrupted, the same command goes on.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import alp
from alp.attacks import Linf
from alp.cli.common import deployment, load_named
from alp.defences.base import Defence
from alp.deploy.backends import BACKENDS, PRECISIONS
from alp.evaluation import EvalConfig
from alp.evaluation.askers import ANSWERS, Asker, askers
from alp.evaluation.queries import Queries
from alp.evaluation.saved import about, evaluate_into
from alp.records import conclude


def chosen(options: argparse.Namespace, random: bool, surrogates: Sequence[str]) -> list[Asker]:
    """The attackers whose names were given, with the given k; exits where a name is none."""
    answers = options.answers if random else (1,)
    known = list(askers(random, answers, options.queries, surrogates))
    labels = list(dict.fromkeys(each.label for each in known))
    wrong = [each for each in options.attackers if each not in labels]
    if wrong:
        raise SystemExit(f"there is no attacker {wrong[0]!r}; choose among: {', '.join(labels)}")
    return [each for each in known if each.label in options.attackers]


def levels(model: Defence, sigmas: Sequence[float]) -> dict[str, Defence]:
    """What is added to the record's name, and the model at each noise level."""
    return {f"-sigma-{each:g}": model.at_sigma(each) for each in sigmas} or {"": model}


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", required=True, type=Path)
    parser.add_argument("--attackers", nargs="+", required=True)
    parser.add_argument("--answers", type=int, nargs="+", default=list(ANSWERS), help="the k")
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--sigmas", type=float, nargs="*", default=[])
    parser.add_argument("--surrogates", type=Path, nargs="*", default=[])
    parser.add_argument("--draws", type=int, help="of an answer; by default as the file says")
    parser.add_argument("--backend", choices=[*BACKENDS], help="an engine that answers")
    parser.add_argument("--precision", choices=[*PRECISIONS], default="float32", help="its own")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--eps", type=float, default=8 / 255)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    ((name, model),) = load_named((options.weights,), options.draws).items()
    others = load_named(tuple(options.surrogates))
    data = alp.load_data(options.data, "test").take(options.images, options.seed)
    deploy = deployment(options.data, options.seed, model.frame, options.backend, options.precision)
    targets = levels(model, options.sigmas)
    asking = {key: chosen(options, each.stochastic, list(others)) for key, each in targets.items()}
    found = {}
    for suffix, target in targets.items():
        suite = Queries(options.queries, tuple(options.answers), attackers=tuple(asking[suffix]))
        config = EvalConfig(suite, Linf(options.eps), seed=options.seed)
        place = f"{name}{suffix}"
        extra = {"deployed": deploy.words} if deploy.words else {}
        record = evaluate_into(
            options.out,
            place,
            target,
            data,
            config,
            about(target, place, surrogates=others, extra=extra),
            surrogates=others,
            deploy=deploy,
        )
        found[place] = conclude(record)
        for row in found[place]["curve"]:
            print(
                f"{place:<28} {row['queries']:>7,} queries: {row['value']:6.1%} "
                f"({row['low']:.1%} to {row['high']:.1%})  {row['attacker']}, k = {row['answers']}",
                flush=True,
            )
    return found


if __name__ == "__main__":
    main()

"""AutoAttack's standard ensemble beside alp's own worst case, on one model: the same images, both
judged by the same rule. Prints both, and the paired difference. A model that draws is attacked on
a bank of known draws, which makes it deterministic, and judged on fresh ones.

    python benchmarks/autoattack.py --weights runs/at/weights.safetensors --out runs/autoattack

Needs the extra 'attacks'. Interrupted, the same command goes on where it stopped.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
from collections.abc import Sequence
from pathlib import Path

import alp
from alp.attacks.library import AutoAttackStandard
from alp.evaluation import About, Entry, Probes, Suite, paired_difference
from alp.evaluation.records import robust_share, write
from alp.models.checkpoint import weights_digest


def reference(model: object, bank: int) -> Suite:
    """AutoAttack alone, on a bank of draws where the model draws."""
    attack = AutoAttackStandard()
    random = isinstance(model, alp.Defended)
    entry = Entry("fixed", attack, bank, "logits") if random else Entry("single", attack)
    return Suite("autoattack", (entry,), (), evaluations=1, probes=Probes(images=0))


def main(arguments: Sequence[str] | None = None) -> tuple[float, float]:
    """Run the comparison; the two robust accuracies in [0,1], alp's first."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--suite", default="standard")
    parser.add_argument("--bank", type=int, default=20, help="draws of a model that draws")
    parser.add_argument("--attack-precision", default="float32", help="float32 or bfloat16")
    parser.add_argument("--eps", type=float, default=8 / 255)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    model = alp.load(given.weights)
    split = alp.load_data(given.data, "test")
    images = split.take(min(given.images, len(split)), given.seed)
    records = {}
    for name, suite in (("alp", given.suite), ("autoattack", reference(model, given.bank))):

        def show(what: str, done: float, total: float, name: str = name) -> None:
            print(f"{name}: {what}, {done:,.0f} of {total:,.0f} s of work", flush=True)

        records[name] = alp.evaluate(
            model,
            images,
            alp.Linf(given.eps),
            suite,
            about=About(name, weights={"model": weights_digest(model)}),
            attack_precision=given.attack_precision,
            seed=given.seed,
            progress=show,
            resume=given.out / "parts" / name,
        )
        write(records[name], given.out / "records" / name)
    found = {name: alp.conclude(record) for name, record in records.items()}
    for name, each in found.items():
        clean, worst = each["clean"]["value"], each["worst"]
        print(
            f"{name:<11}clean {100 * clean:.1f} %, worst case {100 * worst['value']:.1f} % "
            f"(95 % interval {100 * worst['low']:.1f} to {100 * worst['high']:.1f})"
        )
    shares = (robust_share(record) == 1 for record in records.values())
    difference, interval = paired_difference(*shares)
    print(
        f"alp minus autoattack: {100 * difference:+.1f} points "
        f"(95 % interval {100 * interval.low:+.1f} to {100 * interval.high:+.1f})"
    )
    return found["alp"]["worst"]["value"], found["autoattack"]["worst"]["value"]


if __name__ == "__main__":
    main()

r"""AutoAttack's standard ensemble beside a verdict of ``alp evaluate``: the same model and images,
both judged by the same rule. Prints both, and the paired difference. A model that draws is
attacked on a bank of known draws, which makes it deterministic, and judged on fresh ones.

    alp evaluate runs/at/weights.safetensors --suite standard --images 512 --out runs/eval
    python benchmarks/autoattack.py --weights runs/at/weights.safetensors \
        --verdict runs/eval/records/at --out runs/autoattack

Needs the extra 'attacks'. Interrupted, the same command goes on where it stopped.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import alp
from alp.attacks.library import AutoAttackStandard
from alp.defences import Defended, InputNoise
from alp.defences.checkpoint import weights_digest
from alp.errors import AlpError, ConfigError
from alp.evaluation import About, Entry, Probes, Suite
from alp.records import KIND_VERDICT, Record, read, robust_share, write
from alp.records.statistics import paired_difference

ENSEMBLE = AutoAttackStandard()


def reference(model: object, bank: int) -> Suite:
    """AutoAttack alone, on a bank of draws where the model draws."""
    random = isinstance(model, Defended | InputNoise)
    entry = Entry("fixed", ENSEMBLE, bank, "logits") if random else Entry("single", ENSEMBLE)
    return Suite("autoattack", (entry,), (), evaluations=1, probes=Probes(images=0))


def attacked(verdict: Record, given: argparse.Namespace) -> Record:
    """AutoAttack on the images of ``verdict``, within the same threat.

    Raises:
        ConfigError: the record is no verdict, or of other weights, images or another norm.
    """
    header, model = verdict.header, alp.load(given.weights)
    digest = weights_digest(model)
    if header["kind"] != KIND_VERDICT or header["threat"]["name"] != "linf":
        raise ConfigError(
            f"{given.verdict} is a record of the kind {header['kind']!r} and the threat "
            f"{header['threat']['name']!r}; give a verdict for linf, as alp evaluate writes it"
        )
    if header["weights"].get("model") != digest:
        raise ConfigError(
            f"{given.verdict} is of the weights {header['weights'].get('model')}, {given.weights} "
            f"has {digest}; evaluate these weights first"
        )
    split = alp.load_data(header["data"]["name"], header["data"]["split"])
    images = split.take(header["images"], header["seed"])
    if images.digest != header["data_digest"]:
        raise ConfigError(
            f"{given.verdict} is of images with the digest {header['data_digest']}, the data has "
            f"{images.digest} in their place; set ALP_DATA to the data of the verdict"
        )

    def show(what: str, done: float, total: float) -> None:
        print(f"{what}, {done:,.0f} of {total:,.0f} s of work", flush=True)

    return alp.evaluate(
        model,
        images,
        alp.Linf(header["threat"]["eps"]),
        reference(model, given.bank),
        about=About("autoattack", weights={"model": digest}),
        attack_precision=given.attack_precision,
        seed=header["seed"],
        progress=show,
        resume=given.out / "parts" / "autoattack",
    )


def main(arguments: Sequence[str] | None = None) -> tuple[float, float]:
    """Run the comparison; the two robust accuracies in [0,1], the verdict's first."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--weights", required=True, help="weights file, or a packaged name")
    parser.add_argument("--verdict", type=Path, required=True, help="a record of alp evaluate")
    parser.add_argument("--bank", type=int, default=20, help="draws of a model that draws")
    parser.add_argument("--attack-precision", default="float32", help="float32 or bfloat16")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    verdict = read(given.verdict)
    found = attacked(verdict, given)
    write(found, given.out / "records" / "autoattack")
    worst = []
    for name, record in (("alp", verdict), ("autoattack", found)):
        each = alp.conclude(record)
        worst.append(each["worst"]["value"])
        print(
            f"{name:<11}clean {100 * each['clean']['value']:.1f} %, "
            f"worst case {100 * worst[-1]:.1f} % (95 % interval "
            f"{100 * each['worst']['low']:.1f} to {100 * each['worst']['high']:.1f})"
        )
    difference, interval = paired_difference(robust_share(verdict), robust_share(found))
    print(
        f"alp minus autoattack: {100 * difference:+.1f} points "
        f"(95 % interval {100 * interval.low:+.1f} to {100 * interval.high:+.1f})"
    )
    return worst[0], worst[1]


if __name__ == "__main__":
    try:
        main()
    except AlpError as error:
        sys.exit(f"error: {error}")

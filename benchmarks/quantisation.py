r"""A quantised purifier beside its float one: pictures, accuracy, and how errors grow in a chain.

    alp quantise cifar10-lite --weights 4 --out runs/alp-w4a8
    python benchmarks/quantisation.py --float cifar10-lite \
        --quantised runs/alp-w4a8/weights.safetensors --out runs/quantisation

Of all on validation images and the same draws: PSNR, clean accuracy, and the root mean square of
the purified images' difference. Of a chain of diffusion also, for each length, what quantisation
does to it (after Jensen et al. 2025): the same noise goes through both chains, and at each step the
difference of the two is compared with the fresh error, the difference that the step alone makes of
the same z_t. ``amplification`` is the last difference over the root of the sum of all squared fresh
errors, which is what independent errors would give that no later step changes.

With --attack N both are judged on N test images by attackers who know them (the quantised one's
gradient is straight-through), and the paired difference of the worst case is printed: whether
quantisation itself protects. The folder gets quantisation.json, and the verdicts in records/.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import alp
from alp import seeding
from alp.data.quality import psnr
from alp.defences.base import Defence
from alp.defences.chain import Chain
from alp.defences.checkpoint import weights_digest
from alp.defences.quantised import Quantised
from alp.errors import AlpError, ConfigError
from alp.evaluation import About
from alp.experiments.quantisation import CHAINED, LENGTHS, growth
from alp.records import robust_share, write
from alp.records.statistics import paired_difference

BATCH = 64
"""Images at a time."""


def fidelity(model: Defence, plain: Defence, x: Tensor, y: Tensor) -> dict[str, float]:
    """PSNR in dB, clean accuracy, and the RMS difference to ``plain`` on the same draws."""
    pairs = list(zip(x.split(BATCH), y.split(BATCH), strict=True))
    quality, moved, right = [], [], []
    for number, (images, labels) in enumerate(pairs):
        ours, theirs = (
            each.purify(images, seeding.generator(0, "quantisation purify", number))
            for each in (model, plain)
        )
        quality.append(psnr(images, ours))
        moved.append((ours - theirs).square().mean((1, 2, 3)))
        logits = model(images, seeding.generator(0, "quantisation judge", number))
        right.append(logits.argmax(1) == labels)
    return {
        "psnr": float(torch.cat(quality).mean()),
        "clean": float(torch.cat(right).double().mean()),
        "difference": math.sqrt(float(torch.cat(moved).mean())),
    }


def followed(chain: Chain, quantised: Chain, x: Tensor, steps: int) -> dict[str, Any]:
    """The difference of the two chains after each of ``steps`` steps, the fresh error of each, as
    RMS over pixels and images, and the amplification."""
    difference, fresh = (
        each.square().mean(1).sqrt() for each in growth(chain, quantised, x, steps)
    )
    expected = float(fresh.norm())
    return {
        "steps": steps,
        "difference": difference.tolist(),
        "fresh": fresh.tolist(),
        "amplification": float(difference[-1]) / expected if expected else 1.0,
    }


def verdicts(models: dict[str, Defence], count: int, folder: Path) -> dict[str, dict[str, float]]:
    """Worst cases on ``count`` test images, and each one's paired difference to the first."""
    images, shares, found = alp.load_data("cifar10", "test").take(count), [], {}
    for name, model in models.items():
        about = About(name, weights={"model": weights_digest(model)})
        resume = folder / "parts" / name
        record = alp.evaluate(model, images, alp.Linf(8 / 255), about=about, resume=resume)
        write(record, folder / "records" / name)
        shares.append(robust_share(record))
        difference, interval = paired_difference(shares[-1], shares[0])
        found[name] = {"worst": float(shares[-1].mean()), "difference": difference}
        found[name] |= {"low": interval.low, "high": interval.high}
    return found


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run it; the record that is written."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--float", required=True, help="weights file, or a packaged name")
    parser.add_argument(
        "--quantised", nargs="+", required=True, help="what alp quantise made of it"
    )
    parser.add_argument("--images", type=int, default=512, help="validation images")
    parser.add_argument("--attack", type=int, default=0, help="test images; 0 for no attack")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    plain = alp.load(given.float)
    models = {"float": plain}
    for path in given.quantised:
        model = alp.load(path)
        if not isinstance(model, Quantised):
            raise ConfigError(f"{path} is not quantised; make it with alp quantise")
        chosen = model.settings
        name = f"w{chosen['weights']}a{chosen['activations']}-{chosen['method']}"
        models[name] = model
    data = alp.load_data("cifar10", "validation").take(given.images)
    x, y = data.batch(torch.arange(len(data)))
    found: dict[str, Any] = {"images": len(data), "data": data.digest, "models": {}}
    for name, model in models.items():
        with torch.no_grad():
            row: dict[str, Any] = {"weights": weights_digest(model)}
            row |= fidelity(model, plain, x, y)
            print(
                f"{name:<24}PSNR {row['psnr']:.2f} dB, clean {100 * row['clean']:.1f} %, "
                f"difference {row['difference']:.5f}"
            )
            if isinstance(model, Quantised) and isinstance(plain, Chain):
                row["chains"] = []
                for steps in (each for each in LENGTHS if each <= plain.time):
                    grown = followed(plain, model.inner, x[:CHAINED], steps)
                    row["chains"].append(grown)
                    print(
                        f"{steps:>6} steps: difference {grown['difference'][-1]:.5f}, last fresh "
                        f"error {grown['fresh'][-1]:.5f}, amplification "
                        f"{grown['amplification']:.2f}"
                    )
        found["models"][name] = row
    if given.attack:
        for name, row in verdicts(models, given.attack, given.out).items():
            found["models"][name]["verdict"] = row
            print(
                f"{name:<24}worst case {100 * row['worst']:.1f} %, minus float "
                f"{100 * row['difference']:+.1f} points (95 % interval {100 * row['low']:+.1f} to "
                f"{100 * row['high']:+.1f})"
            )
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "quantisation.json").write_text(json.dumps(found, indent=1) + "\n")
    return found


if __name__ == "__main__":
    try:
        main()
    except AlpError as error:
        sys.exit(f"error: {error}")

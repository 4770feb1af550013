r"""Whether the gradient of a shorter chain leads an attacker of DiffPure where the full one does.

    python benchmarks/chain.py --weights runs/diffpure/weights.safetensors [--steps 5 25] \
        [--images 16] [--draws 4]

For each image the gradient of the loss of the mean logits over `--draws` draws is taken through the
deployed chain (twice, on noise of its own) and through chains of `--steps` steps. Prints the mean
cosine over images with its 95 % interval. The cosine of the two gradients of the deployed chain is
the most that noise leaves to reach: it is not 1.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from scipy.stats import ttest_1samp
from torch import Tensor
from torch.nn import functional as F

import alp
from alp import seeding
from alp.defences.chain import Chain
from alp.defences.packaged import load_kind


def gradient(
    model: Chain, x: Tensor, y: Tensor, steps: int, draws: int, source: torch.Generator
) -> Tensor:
    """The gradient (B,D) of the cross-entropy of the mean logits over draws of a chain of
    ``steps`` steps."""
    points = x.clone().requires_grad_()
    model.gradient_steps = steps
    logits = model.logits(points, source, draws).mean(0)
    loss = F.cross_entropy(logits, y, reduction="sum")
    return torch.autograd.grad(loss, points)[0].flatten(1)


def main(arguments: Sequence[str] | None = None) -> dict[str, tuple[float, float, float]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", required=True, type=Path)
    parser.add_argument("--steps", type=int, nargs="+", default=[5, 25])
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    model = load_kind(options.weights, Chain)  # type: ignore[type-abstract]
    full = model.steps
    data = alp.load_data(options.data, "test").take(options.images, options.seed)
    cosines: dict[str, list[Tensor]] = {}
    for number, (_, x, y) in enumerate(data.batches(options.batch)):

        def of(
            steps: int, purpose: str, x: Tensor = x, y: Tensor = y, batch: int = number
        ) -> Tensor:
            source = seeding.generator(options.seed, f"chain/{purpose}", batch)
            return gradient(model, x, y, steps, options.draws, source)

        deployed = of(full, "deployed")
        again = F.cosine_similarity(deployed, of(full, "again"))
        cosines.setdefault(f"{full} steps, other noise", []).append(again)
        for steps in options.steps:
            each = F.cosine_similarity(deployed, of(steps, f"{steps} steps"))
            cosines.setdefault(f"{steps} steps", []).append(each)
        print(f"{min((number + 1) * options.batch, len(data))} of {len(data)} images", flush=True)
    found = {}
    for name, parts in cosines.items():
        values = torch.cat(parts).double().numpy()
        low, high = ttest_1samp(values, 0).confidence_interval()
        found[name] = (float(values.mean()), float(low), float(high))
        print(f"{name:<22} cosine {values.mean():.3f} ({low:.3f} to {high:.3f})")
    return found


if __name__ == "__main__":
    main()

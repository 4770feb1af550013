r"""Noise behind a provably 1-Lipschitz encoder beside noise on the pixels, for certificates.

    python benchmarks/latent_noise.py --depth 0 4 --epochs 3 --images 300 --out runs/latent-noise

Behind an encoder that lets no distance grow, a certificate in its output is one of the image, so
that the encoder runs once and only the head votes (Zeng et al. 2021, "Certified defense via latent
space randomized smoothing with orthogonal encoders"). The encoder: pixels shuffled into channels,
SDP-based Lipschitz layers (Araujo et al. 2023, "A unified algebraic perspective on Lipschitz neural
networks", theorem 3), shuffled back and clamped to [0,1]. The head is the packaged certified
classifier; depth 0 has no encoder: noise on the pixels, trained for as long from the same weights.

Trains each depth, certifies the same images by the same plan, and prints certified accuracy,
paired differences to the first depth, training time and votes. Interrupted, the same command goes
on where it stopped.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import alp
from alp.config import EngineConfig
from alp.data import Images
from alp.defences import ResNetLite
from alp.defences.base import DEFENCES, Deterministic, classify
from alp.defences.checkpoint import save
from alp.defences.lattice import to_lattice
from alp.defences.plan import SamplingPlan
from alp.defences.preprocessed import classifier_of, describe_before
from alp.defences.smoothed import Smoothed, certify_points
from alp.files import read_json, write_json
from alp.records.statistics import Interval, paired_difference, wilson
from alp.seeding import initialising
from alp.training.base import TASKS, Source, Start, Task
from alp.training.certified import under_noise
from alp.training.recipes import recipe
from alp.training.stages import CertifiedStage
from alp.training.train import train

INNER = 48
"""Channels inside a layer."""

SLACK = 1e-9
"""Relative reserve of each layer's bound, and absolute one of the encoder's answer in float64,
whose rounding errors are about 1e-13."""

BATCH = 32


class LipschitzLayer(nn.Module):
    """x - 2 W T^-1 relu(W' x + b), which lets no distance grow where T - W W' has no negative
    eigenvalue, of which the sums of absolute values in T make sure.

    At the border the convolution sees zeros. That is the infinite convolution between a projection
    and its transpose, and a projection makes W W' no larger.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(nn.init.orthogonal_(torch.empty(INNER, channels, 3, 3)))
        self.bias = nn.Parameter(torch.full((INNER,), -0.25))  # near the identity at first
        self.scale = nn.Parameter(torch.zeros(INNER))

    def bound(self) -> Tensor:
        """The diagonal of T, above what the theorem asks for."""
        products = F.conv2d(self.kernel, self.kernel, padding=2).abs().sum((2, 3))
        weights = self.scale.exp()
        return (1 + SLACK) * (products * weights).sum(1) / weights

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(F.conv2d(x, self.kernel, self.bias, padding=1))
        return x - 2 * F.conv_transpose2d(
            inner / self.bound()[:, None, None], self.kernel, padding=1
        )


class LipschitzEncoder(nn.Module):
    """Images (B,3,H,W) in [0,1] to the same shape and range; no distance grows."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(LipschitzLayer(12) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        if not self.layers:
            return x
        inside = self.layers(F.pixel_unshuffle(x - 0.5, 2))
        return (F.pixel_shuffle(inside, 2) + 0.5).clamp(0, 1)


class Encoded(Deterministic):
    """A classifier behind the encoder."""

    def __init__(self, classifier: ResNetLite, depth: int) -> None:
        super().__init__()
        self.depth = depth
        self.encoder, self.classifier = LipschitzEncoder(depth), classifier

    @property
    def settings(self) -> dict[str, Any]:
        return {"depth": self.depth}

    def answer(self, x: Tensor) -> Tensor:
        return classify(self.classifier, self.encoder(x))

    def describe(self) -> dict[str, Any]:
        return describe_before(self, self.classifier)

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        return cls(classifier_of(description), **description["settings"])


@dataclass(frozen=True)
class EncodedStage(CertifiedStage):
    """Training of encoder and head together, under noise between them."""

    depth: int = 0
    """Layers of the encoder."""


class EncodedTask(Task):
    """The loss of certified training, behind the encoder."""

    def __init__(self, stage: EncodedStage, model: Encoded) -> None:
        super().__init__()
        self.stage, self.model = stage, model

    def forward(self, x: Tensor, attacked: Tensor, y: Tensor, source: Source) -> dict[str, Tensor]:
        return under_noise(self.stage, self.model.classifier, self.model.encoder(x), y, source)


def encoded_task(stage: EncodedStage, start: Start) -> EncodedTask:
    """A new encoder before the given head."""
    head = start.classifier_of(stage.classifier)
    assert isinstance(head, ResNetLite)
    with initialising(start.seed, "lipschitz encoder"):
        return EncodedTask(stage, Encoded(head, stage.depth))


def certified_radii(
    model: Encoded, images: Images, sigma: float, plan: SamplingPlan, folder: Path
) -> tuple[np.ndarray, int]:
    """The certified radius of each image, -1 where its class is wrong or left open, and the votes
    on all images. Finished batches are kept in ``folder``."""
    encoder = copy.deepcopy(model.encoder).double()
    smoothed = Smoothed(model.classifier, sigma, precision="bfloat16")
    radii: list[float] = []
    votes = 0
    for first in range(0, len(images), BATCH):
        path = folder / f"{first}.json"
        if not path.exists():
            rows = torch.arange(first, min(first + BATCH, len(images)))
            x, y = images.batch(rows)
            with torch.no_grad():
                points, moved = to_lattice(encoder(x.double()) if model.depth else x)
            states = certify_points(smoothed, points, plan, seed=0)
            loss = moved + (SLACK if model.depth else 0.0)
            right = [state.selected == int(label) for state, label in zip(states, y, strict=True)]
            found = [
                state.radius - float(less) if good and state.radius >= 0 else -1.0
                for state, less, good in zip(states, loss, right, strict=True)
            ]
            write_json(path, {"radii": found, "votes": sum(state.draws for state in states)})
        kept = read_json(path, alp.AlpError)
        radii += kept["radii"]
        votes += kept["votes"]
    return np.array(radii), votes


def in_points(value: float, interval: Interval, sign: str) -> str:
    """A share or a difference of shares, and its 95 % interval, times 100."""
    middle, low, high = (f"{100 * each:{sign}.1f}" for each in (value, *interval))
    return f"{middle} ({low} to {high})"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depth", type=int, nargs="+", default=[0, 4], help="layers; 0: pixels")
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--weights", type=Path, default=Path("cifar10-certified"))
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--images", type=int, default=300, help="test images to certify")
    parser.add_argument("--budget", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    DEFENCES.register("lipschitz-encoder")(Encoded)
    TASKS.register("EncodedStage")(encoded_task)
    plan = SamplingPlan((0.0, 0.25, 0.5), budget=args.budget)
    train_images = alp.load_data(args.data, "train")
    images = alp.load_data(args.data, "test").take(args.images)
    usual = recipe("certified", "cpu").stage
    optim = replace(usual.optim, epochs=args.epochs, lr=0.02)
    head = args.out / "head.safetensors"
    if not head.exists():
        save(alp.load(str(args.weights)).classifier, head)
    engine = EngineConfig(threads=args.threads, precision="bf16-mixed")
    first: np.ndarray | None = None
    for depth in args.depth:
        stage = EncodedStage(**{**vars(usual), "optim": optim, "depth": depth})
        folder = args.out / f"depth-{depth}"
        trained = train(stage, folder, train_images, classifier=head, engine=engine)
        model = trained.model.eval()
        radii, votes = certified_radii(model, images, stage.sigma, plan, folder / "certificates")
        told = [f"depth {depth}: trained {trained.record['seconds'] / 60:.0f} min"]
        told.append(f"{votes / len(images):,.0f} votes an image")
        first = radii if first is None else first
        for radius in plan.radii:
            held = radii >= radius
            share = wilson(int(held.sum()), len(held))
            words = f"r {radius}: {in_points(held.mean(), share, '')} %"
            if depth != args.depth[0]:
                value, interval = paired_difference(held, first >= radius)
                words += f", paired {in_points(value, interval, '+')}"
            told.append(words)
        print("; ".join(told), flush=True)


if __name__ == "__main__":
    main()

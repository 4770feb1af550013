r"""One purifier before several classifiers, under threats that it was and was not trained for.

    python benchmarks/guard.py runs/guard/weights.safetensors --classifiers cifar10-lite/standard \
        cifar10-lite/adversarial --images 256 --out runs/unforeseen

Judges each classifier bare and behind the purifier, on the same images: Linf 8/255, L2 0.5 and 1.0
by a suite of adaptive attacks; the worst of a grid of rotations and shifts (Engstrom et al. 2019,
"Exploring the landscape of spatial robustness", section 3); JPEG and blur, which nobody adapts. The
purifier decodes the mean of its latent, which makes it deterministic. Prints accuracies, and paired
differences to the bare classifier. Interrupted, the same command goes on where it stopped.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import io
import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

import alp
from alp.config import EngineConfig
from alp.data import Images
from alp.defences import Defended
from alp.defences.base import Defence
from alp.defences.packaged import load_classifier, load_purifier
from alp.defences.purifier import with_noise
from alp.errors import RecordError
from alp.evaluation import EvalConfig
from alp.evaluation.saved import about, evaluate_into
from alp.files import read_json, write_json
from alp.records import robust_share
from alp.records.statistics import paired_difference, wilson
from alp.training.engine import limit_threads

THREATS = {"linf-8": alp.Linf(8 / 255), "l2-0.5": alp.L2(0.5), "l2-1.0": alp.L2(1.0)}
"""What the adaptive attackers may change."""

DEGREES = (-30.0, -15.0, 0.0, 15.0, 30.0)
"""Rotations of the grid."""

PIXELS = (-3, 0, 3)
"""Shifts of the grid, along both axes."""

QUALITY, BLUR = 25, 1.0
"""Of JPEG, and the standard deviation of the blur in pixels."""

BATCH = 64

Change = Callable[[Tensor], Tensor]


def moved(x: Tensor, degrees: float, right: int, down: int) -> Tensor:
    """Images rotated about the centre and shifted by pixels; what comes in is black."""
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    matrix = torch.tensor(
        [
            [cos, -sin, -2 * right / x.shape[3]],
            [sin, cos, -2 * down / x.shape[2]],
        ]
    )
    grid = F.affine_grid(matrix.expand(len(x), 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False).clamp(0, 1)


def jpeg(x: Tensor) -> Tensor:
    """Images compressed as JPEG and read again."""
    made = []
    for picture in (255 * x).round().byte().permute(0, 2, 3, 1).numpy():
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=QUALITY)
        made.append(np.asarray(Image.open(buffer)))
    return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).float() / 255


def blurred(x: Tensor) -> Tensor:
    """Images behind a Gaussian kernel."""
    reach = math.ceil(3 * BLUR)
    kernel = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * BLUR**2))
    kernel = (kernel / kernel.sum()).view(1, 1, -1, 1).expand(3, 1, -1, 1)
    padded = F.pad(x, (reach,) * 4, mode="reflect")
    upright = F.conv2d(padded, kernel, groups=3)
    return F.conv2d(upright, kernel.transpose(2, 3), groups=3).clamp(0, 1)


GRID: list[Change] = [
    lambda x, each=each: moved(x, *each) for each in itertools.product(DEGREES, PIXELS, PIXELS)
]
CHANGES: dict[str, list[Change]] = {
    "clean": [torch.clone],
    "spatial": GRID,
    "jpeg": [jpeg],
    "blur": [blurred],
}
"""Name to the changes of which an image has to stand all."""


@torch.inference_mode()
def stands(model: Defence, images: Images, changes: Sequence[Change]) -> NDArray[np.float64]:
    """Which images, (n,), are classified rightly whatever change is made."""
    found = []
    for _, x, y in images.batches(BATCH):
        right = torch.ones(len(x), dtype=torch.bool)
        for change in changes:
            right &= model(change(x)).argmax(1) == y
        found.append(right)
    return torch.cat(found).double().numpy()


def judged(
    name: str, model: Defence, images: Images, given: argparse.Namespace
) -> dict[str, NDArray[np.float64]]:
    """Threat to what each image is worth, (n,)."""
    shares = {}
    attacked = images.take(min(given.attacked, len(images)))
    for threat in given.threats:
        place = f"{name}-{threat}"
        config = EvalConfig(given.suite, THREATS[threat], attack_precision=given.attack_precision)
        print(f"{place} ...", flush=True)
        told = about(model, place)
        record = evaluate_into(given.out, place, model, attacked, config, told)
        shares[threat] = robust_share(record)
    for threat, changes in CHANGES.items():
        path = given.out / "changed" / f"{name}-{threat}.json"
        if not path.exists():
            write_json(path, {"right": stands(model, images, changes).tolist()})
        shares[threat] = np.array(read_json(path, RecordError)["right"])
    return shares


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge all, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("purifier", type=Path)
    parser.add_argument("--classifiers", nargs="+", required=True)
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--split", default="test")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--attacked", type=int, default=256, help="how many of them adaptively")
    parser.add_argument("--threats", nargs="*", default=list(THREATS), choices=THREATS)
    parser.add_argument("--suite", default="quick")
    parser.add_argument("--attack_precision", default="float32")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    limit_threads(EngineConfig(threads=given.threads))
    images = alp.load_data(given.data, given.split).take(given.images)
    front = with_noise(load_purifier(given.purifier), 0.0)
    for reference in given.classifiers:
        bare = load_classifier(reference)
        inside = bare.classifier if isinstance(bare, Defended) else bare
        name = reference.replace("/", "-")
        plain = judged(f"{name}-bare", inside, images, given)
        guarded = judged(f"{name}-guarded", Defended(inside, front, 1).eval(), images, given)
        for threat in plain:
            a, b = plain[threat], guarded[threat]
            low, high = wilson(round(b.sum()), len(b))
            gain, (least, most) = paired_difference(b, a)
            print(
                f"{name:<24}{threat:<10}bare {100 * a.mean():5.1f} %   guarded "
                f"{100 * b.mean():5.1f} % ({100 * low:.1f} to {100 * high:.1f})   difference "
                f"{100 * gain:+.1f} ({100 * least:+.1f} to {100 * most:+.1f})"
            )


if __name__ == "__main__":
    main()

"""How well a diffusion model denoises, over the time: PSNR of validation images.

    python benchmarks/denoising.py cifar10-lite/diffusion --images 512

Each image is noised up to a time and denoised in one step (Ho et al. 2020, equation 15). Beside the
PSNR of what comes out stands that of the noised image, scaled back, and the noise as a standard
deviation on images in [0,1].
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

import alp
from alp import seeding
from alp.data.quality import psnr
from alp.defences.diffusion import Diffusion, deviation
from alp.defences.packaged import load_kind
from alp.errors import AlpError

TIMES = (10, 25, 50, 75, 100, 130, 160)
"""Of 1000."""

BATCH = 64
"""Images at a time."""


@torch.inference_mode()
def denoised(model: Diffusion, x: Tensor, time: int) -> tuple[float, float]:
    """Mean PSNR (dB) of images (B,3,H,W) in [0,1], noised up to ``time`` and clamped, and of the
    same denoised."""
    before: list[Tensor] = []
    after: list[Tensor] = []
    for number, images in enumerate(torch.split(x, BATCH)):
        times = torch.full((len(images),), time)
        noise = seeding.normal(images.shape, seeding.generator(0, f"denoising {time}", number))
        z = model.noised(images, times, noise)
        noisy = z / model.signal[time].sqrt()
        for found, image in ((before, noisy), (after, model.denoised(z, times))):
            found.append(psnr(images, ((image + 1) / 2).clamp(0, 1)))
    return float(torch.cat(before).mean()), float(torch.cat(after).mean())


def main(arguments: Sequence[str] | None = None) -> dict[int, tuple[float, float]]:
    """Run it; time to the PSNR before and after."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("diffusion", type=Path, help="weights file, or a packaged name")
    parser.add_argument("--images", type=int, default=512, help="validation images")
    given = parser.parse_args(arguments)
    model = load_kind(given.diffusion, Diffusion)
    data = alp.load_data("cifar10", "validation").take(given.images)
    x, _ = data.batch(torch.arange(len(data)))
    found = {time: denoised(model, x, time) for time in TIMES if time <= model.config.horizon}
    for time, (before, after) in found.items():
        print(
            f"time {time:>3} (noise of {deviation(time):.3f}): noised {before:.2f} dB, denoised "
            f"{after:.2f} dB"
        )
    return found


if __name__ == "__main__":
    try:
        main()
    except AlpError as error:
        sys.exit(f"error: {error}")

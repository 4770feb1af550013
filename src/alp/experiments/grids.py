"""The paper's appendix: pictures, and how far purification takes images from themselves.

Records: ``pictures`` (:mod:`alp.records.record`) of A-ALP + AT of trial 0, one image of
each of the first classes; and for each trial ``points`` (:mod:`alp.records.points`) with
the clean point alone, whose PSNR an image is the distribution.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from alp.defences import Defended
from alp.evaluation.header import own_header
from alp.evaluation.points import Point
from alp.experiments import EXPERIMENTS, trained
from alp.experiments.lab import Lab
from alp.experiments.tsne import SETS, views
from alp.records import KIND_PICTURES, Record

PICTURES = 6
"""Images in the grid: what a column of print has room for."""

LEVEL = "single"
"""What the attacker knows: the paper's protocol."""

SHARE = 0.5
"""Of the protocol's images, for the distribution."""


@EXPERIMENTS.register("grids", order=7, summary="appendix: pictures, and the distribution of PSNR")
def grids(lab: Lab) -> list[Record]:
    """The pictures of the first trial, and the distributions of all."""
    model = trained.defended(lab, 0)
    about = lab.about(trained.DEFENDED, model)
    records = [lab.record("pictures-0", about, lambda: _pictures(lab, model))]
    images = lab.share_of_images(SHARE)
    records += [
        lab.points(
            f"defended-{trial}",
            trained.DEFENDED,
            trained.defended(lab, trial),
            lab.protocol.attack,
            [Point()],
            images,
            trial=trial,
        )
        for trial in range(lab.protocol.trials)
    ]
    return records


def _pictures(lab: Lab, model: Defended) -> Record:
    protocol = lab.protocol
    images = lab.test_images.take(min(PICTURES, len(lab.test_images)), protocol.seed)
    columns: dict[str, NDArray[Any]] = {
        "index": np.arange(len(images)),
        "label": images.labels.numpy(),
    }
    (batch,) = views(lab, model, LEVEL, images)
    for name in SETS:
        shares = batch.logits[name].softmax(1).cpu()
        columns |= {
            f"{name}_png": np.array([_png(each) for each in batch.pictures[name].cpu()]),
            f"{name}_prediction": shares.argmax(1).numpy(),
            f"{name}_confidence": shares.amax(1).numpy(),
        }
    header = own_header(
        KIND_PICTURES,
        lab.about(trained.DEFENDED, model),
        images,
        protocol.threat,
        protocol.attack,
        [LEVEL],
        protocol.seed,
        len(images),
        lab.device,
        level=LEVEL,
        sets=list(SETS),
    )
    return Record(header, columns)


def _png(image: Tensor) -> str:
    """An image (3,H,W) in [0,1] as the base64 of a PNG file."""
    pixels = image.mul(255).round().byte().permute(1, 2, 0).contiguous().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return base64.b64encode(buffer.getvalue()).decode()

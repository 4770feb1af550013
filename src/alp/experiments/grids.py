"""The paper's appendix: pictures, and how far purification takes images from themselves.

Records, of A-ALP + AT of each trial: ``pictures`` (:mod:`alp.records.record`), one image of each
of the first classes, attacked through that trial; and ``points`` (:mod:`alp.records.points`) with
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

from alp.data import Images
from alp.defences import Defended
from alp.evaluation import About
from alp.evaluation.grid import Point
from alp.evaluation.header import attackers, header
from alp.experiments import EXPERIMENTS, trained
from alp.experiments.tsne import SETS, views
from alp.experiments.workspace import Workspace
from alp.records import KIND_PICTURES, Record

PICTURES = 6
"""Images in the grid: what a column of print has room for."""

LEVEL = "single"
"""What the attacker knows: the paper's protocol."""

SHARE = 0.5
"""Of the protocol's images, for the distribution."""


@EXPERIMENTS.register("grids", order=7, summary="appendix: pictures, and the distribution of PSNR")
def grids(workspace: Workspace) -> list[Record]:
    """Pictures and distribution of every trial, on the same images."""
    images = workspace.share_of_images(SHARE)
    return [
        record
        for trial in range(workspace.protocol.trials)
        for record in _of_trial(workspace, trial, images)
    ]


def _of_trial(workspace: Workspace, trial: int, images: Images) -> tuple[Record, Record]:
    model = trained.defended(workspace, trial)
    told = workspace.about(trained.DEFENDED, model, trial)
    pictures = workspace.record(
        f"pictures-{trial}", told, lambda: _pictures(workspace, model, told)
    )
    distribution = workspace.points(
        f"defended-{trial}",
        trained.DEFENDED,
        model,
        workspace.protocol.attack,
        [Point()],
        images,
        trial=trial,
    )
    return pictures, distribution


def _pictures(workspace: Workspace, model: Defended, told: About) -> Record:
    protocol = workspace.protocol
    images = workspace.test_images.take(min(PICTURES, len(workspace.test_images)), protocol.seed)
    columns: dict[str, NDArray[Any]] = {
        "index": np.arange(len(images)),
        "label": images.labels.numpy(),
    }
    (batch,) = views(workspace, model, LEVEL, images)
    for name in SETS:
        shares = batch.logits[name].softmax(1).cpu()
        columns |= {
            f"{name}_png": np.array([_png(each) for each in batch.pictures[name].cpu()]),
            f"{name}_prediction": shares.argmax(1).numpy(),
            f"{name}_confidence": shares.amax(1).numpy(),
        }
    own = {
        **attackers(protocol.attack, protocol.threat, [LEVEL]),
        "warnings": [],
        "level": LEVEL,
        "sets": list(SETS),
    }
    where = {"seed": protocol.seed, "batch_size": len(images), "device": workspace.device}
    begun = header(KIND_PICTURES, told, images, protocol.threat, where, own)
    return Record(begun, columns)


def _png(image: Tensor) -> str:
    """An image (3,H,W) in [0,1] as the base64 of a PNG file."""
    pixels = image.mul(255).round().byte().permute(1, 2, 0).contiguous().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return base64.b64encode(buffer.getvalue()).decode()

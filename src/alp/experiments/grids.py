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
    """The pictures of the first trial, and the distributions of all."""
    model = trained.defended(workspace, 0)
    about = workspace.about(trained.DEFENDED, model)
    records = [workspace.record("pictures-0", about, lambda: _pictures(workspace, model))]
    images = workspace.share_of_images(SHARE)
    records += [
        workspace.points(
            f"defended-{trial}",
            trained.DEFENDED,
            trained.defended(workspace, trial),
            workspace.protocol.attack,
            [Point()],
            images,
            trial=trial,
        )
        for trial in range(workspace.protocol.trials)
    ]
    return records


def _pictures(workspace: Workspace, model: Defended) -> Record:
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
    told = workspace.about(trained.DEFENDED, model)
    begun = header(KIND_PICTURES, told, images, protocol.threat, where, own)
    return Record(begun, columns)


def _png(image: Tensor) -> str:
    """An image (3,H,W) in [0,1] as the base64 of a PNG file."""
    pixels = image.mul(255).round().byte().permute(1, 2, 0).contiguous().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return base64.b64encode(buffer.getvalue()).decode()

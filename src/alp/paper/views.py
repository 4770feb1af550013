"""The three pictures of an image that the paper shows, as its models see them."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from alp import seeding
from alp.data import Images
from alp.evaluation import craft
from alp.evaluation.subjects import Purified
from alp.models import Defended
from alp.paper.lab import Lab
from alp.workflows import BATCH

SETS = ("clean", "attacked", "purified")
"""The image, the image attacked, and one purified draw of the latter."""


@dataclass(frozen=True)
class Views:
    """A batch."""

    index: Tensor
    """Positions among the images, (B,)."""
    labels: Tensor
    """Classes, (B,)."""
    pictures: dict[str, Tensor]
    """Set to images (B,3,H,W) in [0,1], on the lab's device."""
    logits: dict[str, Tensor]
    """Set to logits (B,K): of the bare classifier for ``clean`` and ``attacked``, and of the whole
    defence, all draws, of the attacked image for ``purified``."""


def views(lab: Lab, model: Defended, level: str, images: Images) -> Iterator[Views]:
    """Batch by batch, attacked by who knows ``level`` under the protocol's threat and attack."""
    protocol, device = lab.protocol, lab.device
    subject = Purified(deepcopy(model).to(device))
    done = 0
    for batch, (index, x, y) in enumerate(images.batches(BATCH)):
        x, y = x.to(device), y.to(device)
        attacked = craft(
            subject, level, x, y, protocol.threat, protocol.attack, seed=protocol.seed, batch=batch
        )
        with torch.no_grad():
            source = seeding.generator(protocol.seed, "purify", batch, device=device)
            purified = subject.purify(attacked, source)
            judging = seeding.generator(protocol.seed, "judge/views", batch, device=device)
            logits = {
                "clean": subject.bare(x),
                "attacked": subject.bare(attacked),
                "purified": subject.predict(attacked, judging),
            }
        done += len(x)
        lab.report(f"attack {lab.item} {level}", done, len(images), "")
        pictures = dict(zip(SETS, (x, attacked, purified), strict=True))
        yield Views(index, y, pictures, logits)

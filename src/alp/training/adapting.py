"""Recipes for pictures that are fewer, larger or of other classes than those they were made for."""

from __future__ import annotations

import math
from dataclasses import replace

from alp.data.augment import Augment
from alp.training.stages import Stage

PICTURES = 45_000
"""Training images of CIFAR-10, which the recipes were made for."""

SIDE = 32
"""Their height and width."""


def adapted(stage: Stage, images: int, size: tuple[int, int]) -> Stage:
    """``stage`` for a number of training images of a size: as many steps, where there are fewer
    images, as the recipe takes on CIFAR-10; batches of at most half of them; shifts and holes of
    the same share of the image.

    Args:
        images: the training images.
        size: their height and width.
    """
    optim = stage.optim
    if images < PICTURES:
        steps = optim.steps(PICTURES)
        batch = min(optim.batch_size, 2 ** int(math.log2(max(1, images // 2))))
        epochs = steps / (images // batch) if images >= batch else optim.epochs
        optim = replace(optim, batch_size=batch, epochs=epochs)
    return replace(stage, optim=optim, augment=fitted(stage.augment, size))


def fitted(augment: Augment, size: tuple[int, int]) -> Augment:
    """Shifts and holes, which are given for 32 x 32 pixels, for images of another size."""
    scale = min(size) / SIDE
    return replace(
        augment, shift=round(scale * augment.shift), cutout=round(scale * augment.cutout)
    )


def steps_word(stage: Stage, images: int) -> str:
    """How long a training is, in words."""
    return f"{stage.optim.steps(images):,} steps of {stage.optim.batch_size} pictures"

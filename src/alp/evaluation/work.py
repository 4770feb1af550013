"""How long an evaluation will take, from how long one call takes here."""

from __future__ import annotations

from time import perf_counter

import torch
from torch import Tensor

from alp import seeding
from alp.attacks import LOSSES, input_gradient
from alp.evaluation.knowledge import Subject

_DRAWS = 4
_IMAGES = 32


def rates(subject: Subject, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Seconds that a draw of an image takes, with a gradient and without one."""
    draws = _DRAWS if subject.stochastic else 1
    x, y = x[:_IMAGES], y[:_IMAGES]
    source = seeding.generator(0, "rates", device=x.device)

    def answer(images: Tensor) -> Tensor:
        return subject.sample(images, source, draws)

    with torch.no_grad():
        answer(x)  # the first call of a shape is slower
        start = perf_counter()
        answer(x)
        without = perf_counter() - start
    start = perf_counter()
    input_gradient(answer, x, y, LOSSES["ce"])
    with_gradient = perf_counter() - start
    return with_gradient / (draws * len(x)), without / (draws * len(x))

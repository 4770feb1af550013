"""Floating-point operations of the halves of a defended model, and of any call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alp.models import Defended


@dataclass(frozen=True)
class Flops:
    """Operations an image, a multiply-add counted as two."""

    encoder: int
    """Once an image."""
    draw: int
    """Decoder and classifier, once a draw."""

    def total(self, images: int, draws: float) -> float:
        """Of a call on ``images`` that took ``draws`` draws an image."""
        return images * (self.encoder + draws * self.draw)


def count(defended: Defended, size: tuple[int, int]) -> Flops:
    """Count the matrix multiplications and convolutions of ``defended`` on images of ``size``
    (height, width); the rest, a few per cent, is left out, as usual."""
    import torch

    from alp import seeding

    device = next(defended.parameters()).device
    x = torch.zeros(1, 3, *size, device=device)
    source = seeding.generator(0, "flops", device=device)
    with torch.inference_mode():
        mu = defended.encode(x)
        return Flops(
            encoder=counted(lambda: defended.encode(x)),
            draw=counted(lambda: defended.decode_classify(mu, source, size)),
        )


def counted(call: Callable[[], object]) -> int:
    """Operations of one call of torch code, by torch's own counter."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())

"""The machine's matrix peak as it is measured: the roof of the roofline (Williams et al. 2009).

The number of threads of torch, lent for a call.

Floating-point operations of the halves of a defended model, and of any call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alp.errors import choose

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from alp.defences import Defended


@contextmanager
def with_threads(threads: int) -> Iterator[None]:
    """Inside, torch computes on ``threads`` threads and keeps no graph."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)


SIDES = {"cpu": (512, 1024, 2048), "cuda": (4096, 8192)}
"""Sides of the square matrices; which one a machine multiplies best is measured."""


def _float(kind: str) -> Callable[[int, torch.device], Callable[[], Tensor]]:
    def prepare(side: int, device: torch.device) -> Callable[[], Tensor]:
        import torch

        from alp import seeding

        source = seeding.generator(0, "peak", device=device)
        a, b = (seeding.normal((side, side), source).to(getattr(torch, kind)) for _ in "ab")
        return lambda: a @ b

    return prepare


def _int8(side: int, device: torch.device) -> Callable[[], Tensor]:
    import torch

    from alp import seeding

    source = seeding.generator(0, "peak", device=device)
    a, b = (seeding.normal((side, side), source).mul(30).to(torch.int8) for _ in "ab")
    return lambda: torch._int_mm(a, b)


PRODUCTS = {"float32": _float("float32"), "bfloat16": _float("bfloat16"), "int8": _int8}
"""Precision to its matrix product."""


def sides(device: torch.device) -> tuple[int, ...]:
    """The sides for a kind of device."""
    return SIDES.get(device.type, SIDES["cpu"])


def product(
    precision: str, threads: int, side: int, device: torch.device
) -> tuple[Callable[[int], float], int]:
    """A call that multiplies two square matrices on ``threads`` threads, and its operations.

    Raises:
        UnknownNameError: there is no such precision.
    """
    multiply = choose(PRODUCTS, precision, "precision")(side, device)

    def call(number: int) -> float:
        with with_threads(threads):
            multiply()
        return math.nan

    return call, 2 * side**3


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
        state = defended.encode(x)
        return Flops(
            encoder=counted(lambda: defended.encode(x)),
            draw=counted(lambda: defended.sample(state, source, 1)),
        )


def counted(call: Callable[[], object]) -> int:
    """Operations of one call of torch code, by torch's own counter."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())

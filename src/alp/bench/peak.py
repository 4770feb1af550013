"""The machine's matrix peak as it is measured: the roof of the roofline (Williams et al. 2009)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from alp.bench.threads import with_threads
from alp.errors import choose

if TYPE_CHECKING:
    import torch
    from torch import Tensor

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

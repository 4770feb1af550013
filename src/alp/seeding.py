"""Explicit randomness: every draw comes from a generator made from (seed, purpose).

The package itself draws from no global random state; it is only lent out to code that does. A
generator is a pure function of the seed, the purpose and optional counters (epoch, step, batch), so
that a resumed run repeats the same draws without any random state on disk.

torch is imported inside the functions so that settings modules, which import this one, stay cheap.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import torch


def derive(seed: int, purpose: str, *counters: int) -> int:
    """A 63-bit seed for ``purpose``; different purposes or counters give independent seeds."""
    text = "/".join([str(seed), purpose, *map(str, counters)])
    # A file's name that is not UTF-8 comes to Python with lone surrogates; it is a purpose too.
    content = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big") >> 1


def generator(
    seed: int, purpose: str, *counters: int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A generator for ``purpose``, the same for the same arguments."""
    import torch

    return torch.Generator(device).manual_seed(derive(seed, purpose, *counters))


def entropy(device: torch.device | str = "cpu") -> torch.Generator:
    """A generator seeded by the operating system: what serving uses, since a predictable draw
    is a broken defence. On the CPU where the device computes shapes alone."""
    import torch

    if torch.device(device).type == "meta":
        device = "cpu"
    return torch.Generator(device).manual_seed(secrets.randbits(63))


class Shard:
    """A generator as one of ``world`` processes sees it: each draws the randomness of the whole
    global batch and keeps its own rows, so that the result does not depend on ``world``."""

    def __init__(self, generator: torch.Generator, rank: int, world: int) -> None:
        self.generator = generator
        self.rank = rank
        self.world = world


class Common:
    """A generator whose every draw is shared by all rows of a batch (common random numbers): what
    an image meets does not depend on the images beside it, nor on its place among them."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    @property
    def device(self) -> torch.device:
        """Where the draws are made."""
        return self.generator.device


class Rows:
    """A source as some ``rows`` of a batch of ``total`` see it: each draw is made for the whole
    batch, so that what a row meets does not depend on which others are still there."""

    def __init__(self, source: Source, rows: torch.Tensor, total: int) -> None:
        self.source = source
        self.rows = rows
        self.total = total


Source: TypeAlias = "torch.Generator | Shard | Common | Rows"
"""Where draws come from."""


def _draw(name: str, shape: Sequence[int], source: Source) -> torch.Tensor:
    import torch

    if isinstance(source, Rows):
        return _draw(name, (source.total, *shape[1:]), source.source)[source.rows]
    draw: Callable[..., torch.Tensor] = getattr(torch, name)
    if isinstance(source, Common):
        one = draw((1, *shape[1:]), generator=source.generator, device=source.device)
        return one.expand(tuple(shape))
    if isinstance(source, Shard):
        whole = (shape[0] * source.world, *shape[1:])
        rows = slice(source.rank * shape[0], (source.rank + 1) * shape[0])
        device = source.generator.device
        return draw(whole, generator=source.generator, device=device)[rows]
    return draw(tuple(shape), generator=source, device=source.device)


def normal(shape: Sequence[int], source: Source) -> torch.Tensor:
    """Standard normal draws, float32, on the generator's device; the first axis is the batch."""
    return _draw("randn", shape, source)


def uniform(shape: Sequence[int], source: Source) -> torch.Tensor:
    """Uniform draws in [0, 1), float32, on the generator's device; the first axis is the batch."""
    return _draw("rand", shape, source)


@contextmanager
def initialising(seed: int, purpose: str) -> Iterator[None]:
    """Weights made inside are a function of (seed, purpose); the global state is put back after.

    torch's layers initialise from the global generator and take no other, so it is lent to them.
    An orthogonal start is a matrix decomposition, whose last bits depend on the number of threads:
    inside there is one.
    """
    import torch

    threads = torch.get_num_threads()
    with lent(derive(seed, purpose)):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


@contextmanager
def lent(seed: int, device: torch.device | str = "cpu") -> Iterator[Callable[[], bool]]:
    """Inside, the global generators of torch, numpy and Python start from ``seed``; after, each
    has its own state back.

    For other people's code, which knows no other source of randomness. Yields a function that
    tells whether anyone has drawn from them yet.
    """
    import random

    import numpy as np
    import torch

    device = torch.device(device)
    devices = [device] if device.type == "cuda" else []
    outside = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=devices):
        torch.set_rng_state(torch.Generator().manual_seed(seed).get_state())
        for each in devices:
            torch.cuda.set_rng_state(torch.Generator(each).manual_seed(seed).get_state(), each)
        random.setstate(random.Random(seed).getstate())
        np.random.set_state(np.random.RandomState(seed % 2**32).get_state())  # noqa: NPY002

        def state() -> tuple[object, ...]:
            held = torch.get_rng_state(), *(torch.cuda.get_rng_state(each) for each in devices)
            numbers: Any = np.random.get_state()  # noqa: NPY002
            own = random.getstate(), numbers[1].tobytes(), *numbers[2:]
            return *own, *(each.numpy().tobytes() for each in held)

        lent_out = state()
        try:
            yield lambda: state() != lent_out
        finally:
            random.setstate(outside[0])
            np.random.set_state(outside[1])  # noqa: NPY002

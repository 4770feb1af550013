"""Explicit randomness: every draw comes from a generator made from (seed, purpose).

The package itself draws from no global random state; it is only lent out to code that does. A
generator is a pure function of the seed, the purpose and optional counters (epoch, step, batch), so
that a resumed run repeats the same draws without any random state on disk.

There are two schemes by which a generator is made from its key. Scheme 2 fills the whole state of
the generator from SHAKE-256 of the key. Scheme 1, of older results, gave torch a 63-bit seed, of
which its CPU generator keeps 32 bits, so that some keys share their draws. Records and
``training.json`` of scheme 2 say ``"seeding": 2``; those without that entry are of scheme 1. The
environment variable ``ALP_SEEDING=1`` brings scheme 1 back, to make an old result again.

torch and numpy are imported inside the functions so that settings modules, which import this
one, stay cheap.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from alp.errors import ConfigError

if TYPE_CHECKING:
    import torch

STATE = 4 * 624
"""Bytes that fill a generator: the 624 words of the Mersenne Twister."""


def scheme() -> int:
    """The scheme by which generators are made from their keys: 2, or what ``ALP_SEEDING`` says.

    Raises:
        ConfigError: ``ALP_SEEDING`` is neither 1 nor 2.
    """
    chosen = os.environ.get("ALP_SEEDING", "2")
    if chosen not in ("1", "2"):
        raise ConfigError(
            f"ALP_SEEDING is {chosen!r}; give 1 for the draws of older results, or leave it unset"
        )
    return int(chosen)


def recorded() -> dict[str, int]:
    """What a record says of the scheme; of scheme 1 nothing, as the records made before."""
    return {"seeding": 2} if scheme() == 2 else {}


def require_same(record: Mapping[str, Any], name: str | Path) -> None:
    """Refuse to go on with ``record`` (a header, ``training.json``), which is called ``name``,
    where it was made by the other scheme.

    Raises:
        ConfigError: it was, or ``ALP_SEEDING`` is neither 1 nor 2.
    """
    made = record.get("seeding", 1)
    if made != scheme():
        raise ConfigError(
            f"{name} was made by seeding scheme {made}, and this run is of scheme {scheme()}; "
            f"set ALP_SEEDING={made} to go on with it, or give another folder"
        )


def _key(seed: int, purpose: str, counters: Sequence[int]) -> bytes:
    text = "/".join([str(seed), purpose, *map(str, counters)])
    # A file's name that is not UTF-8 comes to Python with lone surrogates; it is a purpose too.
    return text.encode("utf-8", "surrogatepass")


def derive(seed: int, purpose: str, *counters: int) -> int:
    """A 63-bit seed for ``purpose``; different purposes or counters give independent seeds. For
    generators other than torch's; the same in both schemes."""
    key = _key(seed, purpose, counters)
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> 1


def generator(
    seed: int, purpose: str, *counters: int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A generator for ``purpose``, the same for the same arguments; its ``initial_seed`` is what
    :func:`derive` gives.

    Raises:
        ConfigError: ``ALP_SEEDING`` is neither 1 nor 2.
    """
    derived = derive(seed, purpose, *counters)
    if scheme() == 1:
        return _seeded(derived, device)
    state = hashlib.shake_256(_key(seed, purpose, counters)).digest(STATE)
    return _filled(derived, state, device)


def keyed(key: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator from a number that another generator drew, the same for the same ``key``, which
    is its ``initial_seed``.

    Args:
        key: from 0 to 2^63 - 1.

    Raises:
        ConfigError: ``ALP_SEEDING`` is neither 1 nor 2.
    """
    if scheme() == 1:
        return _seeded(key, device)
    return _filled(key, hashlib.shake_256(str(key).encode()).digest(STATE), device)


def for_data(seed: int, purpose: str, *counters: int) -> torch.Generator:
    """A generator that splits, chooses or makes images: by scheme 1 always, since a split that
    changed would evaluate weights on images that they were trained on."""
    return _seeded(derive(seed, purpose, *counters), "cpu")


def entropy(device: torch.device | str = "cpu") -> torch.Generator:
    """A generator whose whole state comes from the operating system: what serving uses, since a
    predictable draw is a broken defence. Make one for each call: kept over a fork, it would draw
    the same in every process. On the CPU where the device computes shapes alone."""
    import torch

    if torch.device(device).type == "meta":
        device = "cpu"
    return _filled(int.from_bytes(os.urandom(8), "big"), os.urandom(STATE), device)


def _seeded(seed: int, device: torch.device | str) -> torch.Generator:
    import torch

    return torch.Generator(device).manual_seed(seed)


def _filled(seed: int, state: bytes, device: torch.device | str) -> torch.Generator:
    """A generator whose ``initial_seed`` is ``seed`` and whose draws come from ``state``.

    On the CPU these are the words of the Mersenne Twister, in the layout of ATen's
    ``CPUGeneratorImplStateLegacy``: seed, words left, whether seeded, next word, words. On a GPU
    Philox has ``seed`` as its key and a counter that starts from ``state``; where the counter
    cannot be set, as on MPS, there is the key alone.
    """
    import numpy as np
    import torch

    made = torch.Generator(device)
    if made.device.type != "cpu":
        made.manual_seed(seed)
        if made.device.type == "cuda":
            # Philox counts in fours, and needs room to count on.
            made.set_offset(int.from_bytes(state[:8], "little") >> 4 << 2)
        return made
    held = made.get_state()
    words = held.numpy().view(np.uint64)
    words[0] = seed
    words[3:627] = np.frombuffer(state, "<u4")
    return made.set_state(held)


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


class Zeros:
    """A source whose draws are zero, for what answers alike whatever is drawn: a graph that is
    traced or exported holds no generator."""

    def __init__(self, device: torch.device) -> None:
        self.device = device


Source: TypeAlias = "torch.Generator | Shard | Common | Rows | Zeros"
"""Where draws come from."""


def state_of(source: Source) -> torch.Tensor:
    """Where a source stands."""
    return _generator(source).get_state()


def set_state(source: Source, state: torch.Tensor) -> None:
    """Put a source back to where it stood."""
    _generator(source).set_state(state)


def _generator(source: Source) -> torch.Generator:
    while isinstance(source, Rows):
        source = source.source
    if isinstance(source, Zeros):
        import torch

        return torch.Generator()  # its state tells nothing
    return source.generator if isinstance(source, Shard | Common) else source


def _draw(name: str, shape: Sequence[int], source: Source) -> torch.Tensor:
    import torch

    if isinstance(source, Rows):
        return _draw(name, (source.total, *shape[1:]), source.source)[source.rows]
    if isinstance(source, Zeros):
        return torch.zeros(tuple(shape), device=source.device)
    draw: Callable[..., torch.Tensor] = getattr(torch, name)
    if isinstance(source, Common):
        one = draw((1, *shape[1:]), generator=source.generator, device=source.device)
        return one.expand(tuple(shape))
    if isinstance(source, Shard):
        whole = (shape[0] * source.world, *shape[1:])
        rows = slice(source.rank * shape[0], (source.rank + 1) * shape[0])
        device = source.generator.device
        return draw(whole, generator=source.generator, device=device)[rows]
    if not isinstance(source, torch.Generator):
        raise ConfigError(
            f"the source of randomness is {source!r}; give a torch.Generator, such as "
            "alp.seeding.generator(0, 'attack')"
        )
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

    Args:
        seed: from 0 to 2^63 - 1.
    """
    import random

    import numpy as np
    import torch

    device = torch.device(device)
    devices = [device] if device.type == "cuda" else []
    outside = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=devices):
        torch.set_rng_state(keyed(seed).get_state())
        for each in devices:
            torch.cuda.set_rng_state(keyed(seed, each).get_state(), each)
        random.setstate(random.Random(seed).getstate())
        # An array of words fills numpy's state from all of them; a number has 32 bits.
        words = seed % 2**32 if scheme() == 1 else [seed % 2**32, seed >> 32]
        np.random.set_state(np.random.RandomState(words).get_state())  # noqa: NPY002

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

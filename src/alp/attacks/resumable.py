"""Loops that go on where a killed process stopped.

A step of an attack on a large model takes minutes, and an attack hundreds of steps. Inside
:func:`resumable` every loop over :func:`steps` is kept: how many steps are done, the tensors that
they left and where the generators stand. Loops may hold loops. Code between them runs again, and
has to be a function of the same seeds; then the result is the same, bit for bit.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

from alp.seeding import Source, set_state, state_of

if TYPE_CHECKING:
    from torch import Tensor

EVERY = 60.0
"""Seconds between two times that the finished steps are kept."""


class Store(Protocol):
    """Where the finished steps of a unit of work are kept."""

    def load(self) -> bytes | None:
        """What was saved last; None where there is nothing, or it is damaged."""

    def save(self, data: bytes) -> None:
        """Keep ``data`` in place of what was saved before."""


@contextmanager
def resumable(store: Store | None, every: float = EVERY) -> Iterator[None]:
    """Keep the steps of all loops inside in ``store``, each ``every`` seconds and where an
    exception ends them, and go on from what is there. Without a store nothing is kept."""
    if store is None:
        yield
        return
    keeper = _Keeper(store, every)
    token = _current.set(keeper)
    try:
        yield
    except BaseException:
        keeper.save()
        raise
    finally:
        _current.reset(token)


@contextmanager
def apart() -> Iterator[None]:
    """The loops inside are not kept: they run as if nothing had been begun."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def drawing_from(*sources: Source) -> Iterator[None]:
    """The loops inside draw from ``sources``, whose state is kept with each step."""
    keeper = _current.get()
    if keeper is None:
        yield
        return
    before, keeper.sources = keeper.sources, sources
    try:
        yield
    finally:
        keeper.sources = before


def steps(count: int, state: SimpleNamespace) -> Iterator[int]:
    """The numbers 0 to ``count`` - 1, without those that are done.

    Args:
        state: the tensors that a step takes from the one before, as attributes. The body of the
            loop gives new ones to it, and changes none in place. Where steps are done, ``state``
            holds what they left.
    """
    keeper = _current.get()
    return iter(range(count)) if keeper is None else keeper.steps(count, state)


@dataclass
class _Loop:
    """A loop, as far as it is."""

    done: int = 0
    """Finished steps."""
    tensors: dict[str, Tensor] = field(default_factory=dict)
    """What they left."""
    sources: list[Tensor] = field(default_factory=list)
    """Where the generators stand after them."""
    inside: list[_Loop] = field(default_factory=list)
    """The loops of the step that is going on."""


class _Keeper:
    """The loops of one unit of work."""

    def __init__(self, store: Store, every: float) -> None:
        self.store, self.every = store, every
        self.sources: tuple[Source, ...] = ()
        found = store.load()
        self.root = _Loop() if found is None else _decoded(found)
        self.open: list[tuple[_Loop, Iterator[int]]] = [(self.root, itertools.count())]
        self.saved = time.monotonic()
        self.new = False

    def steps(self, count: int, state: SimpleNamespace) -> Iterator[int]:
        parent, places = self.open[-1]
        place = next(places)
        if place == len(parent.inside):
            parent.inside.append(_Loop())
        loop = parent.inside[place]
        if loop.done:
            for name, value in loop.tensors.items():
                setattr(state, name, value.to(getattr(state, name).device))
            for source, kept in zip(self.sources, loop.sources, strict=True):
                set_state(source, kept)
        return self._left(loop, count, state)

    def _left(self, loop: _Loop, count: int, state: SimpleNamespace) -> Iterator[int]:
        for step in range(loop.done, count):
            self.open.append((loop, itertools.count()))
            try:
                yield step
            finally:
                self.open.pop()
            loop.done, loop.tensors, loop.inside = step + 1, dict(vars(state)), []
            loop.sources = [state_of(source) for source in self.sources]
            self.new = True
            if time.monotonic() - self.saved >= self.every:
                self.save()

    def save(self) -> None:
        if self.new:
            self.store.save(_encoded(self.root))
            self.saved, self.new = time.monotonic(), False


_current: ContextVar[_Keeper | None] = ContextVar("keeper", default=None)


def _encoded(root: _Loop) -> bytes:
    """The loops as safetensors, whose metadata says where each tensor belongs."""
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}

    def told(loop: _Loop) -> dict[str, Any]:
        number = len(tensors)
        own = {f"{number}.{name}": value for name, value in loop.tensors.items()}
        last = [name for name, value in loop.tensors.items() if _channels_last(value)]
        own |= {f"{number}/{place}": value for place, value in enumerate(loop.sources)}
        tensors.update({name: value.detach().cpu().contiguous() for name, value in own.items()})
        return {
            "done": loop.done,
            "tensors": {name.partition(".")[2]: name for name in own if "." in name},
            "sources": [name for name in own if "/" in name],
            "channels_last": last,
            "inside": [told(each) for each in loop.inside],
        }

    tree = told(root)
    apart = {name: value.clone() for name, value in tensors.items()}  # they may share memory
    return bytes(save(apart, {"loops": json.dumps(tree)}))


def _decoded(data: bytes) -> _Loop:
    import torch
    from safetensors.torch import load

    held = load(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])

    def made(tree: dict[str, Any]) -> _Loop:
        tensors = {name: held[key] for name, key in tree["tensors"].items()}
        for name in tree["channels_last"]:  # the last bit of a convolution depends on strides
            tensors[name] = tensors[name].contiguous(memory_format=torch.channels_last)
        sources = [held[key] for key in tree["sources"]]
        return _Loop(tree["done"], tensors, sources, [made(each) for each in tree["inside"]])

    return made(json.loads(header["__metadata__"]["loops"]))


def _channels_last(value: Tensor) -> bool:
    import torch

    return (
        value.ndim == 4
        and not value.is_contiguous()
        and value.is_contiguous(memory_format=torch.channels_last)
    )

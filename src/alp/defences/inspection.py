"""The modules behind a target: their mode, and whether an evaluation has left them alone."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

from torch import nn

from alp.defences.base import Defence, Wrapper
from alp.defences.identity import weights_digest
from alp.errors import ConfigError


def require_evaluation_mode(target: Any) -> None:
    """Raise a ConfigError if a module that ``target`` is, holds or refers to is in training mode,
    where batches change it and dropout is random. The mode of a container is that of its parts."""
    for module in modules_of(target):
        for name, part in module.named_modules():
            if part.training and not isinstance(part, _CONTAINERS) and not _is_shell(part):
                inside = f"{name} ({type(part).__name__})" if name else type(part).__name__
                raise ConfigError(
                    f"the target {type(module).__name__} is in training mode in {inside}, where "
                    "batches change it; call .eval() on it first"
                )


_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def _is_shell(module: nn.Module) -> bool:
    """Whether a wrapper of ours has nothing of its own that a mode could change."""
    return isinstance(module, Wrapper)


def modules_of(target: Any) -> list[nn.Module]:
    """The modules that a target is, or that a function or object of the user's refers to."""
    found: dict[int, nn.Module] = {}
    seen: set[int] = set()
    waiting = [(target, 0)]
    while waiting:
        thing, depth = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, nn.Module):
            found[id(thing)] = thing
            if isinstance(thing, Defence):  # an adapter holds what may be no module
                waiting += [(each, depth) for each in vars(thing).values() if callable(each)]
        elif depth < _DEPTH:
            waiting += [(each, depth + 1) for each in _referred(thing)]
    return list(found.values())


_DEPTH = 3
"""How many references away from a target its modules are looked for."""


def _referred(thing: Any) -> list[Any]:
    """What a function, a partial, a method or an object refers to directly."""
    if isinstance(thing, partial):
        return [thing.func, *thing.args, *thing.keywords.values()]
    if isinstance(thing, MethodType):
        return [thing.__self__]
    if isinstance(thing, FunctionType):
        cells = [cell.cell_contents for cell in thing.__closure__ or () if _is_full(cell)]
        names = (name for name in thing.__code__.co_names if name in thing.__globals__)
        named = [thing.__globals__[name] for name in names]
        return [*cells, *(each for each in named if not isinstance(each, ModuleType | type))]
    if isinstance(thing, list | tuple):
        return list(thing[:_MANY])
    if isinstance(thing, dict):
        return list(thing.values())[:_MANY]
    own = getattr(thing, "__dict__", None)
    return list(own.values())[:_MANY] if isinstance(own, dict) and callable(thing) else []


_MANY = 100
"""Elements of a collection that are looked at."""


def _is_full(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # not assigned yet
        return False


class Unchanged:
    """What a target's modules hold now, to be compared with what they hold later."""

    def __init__(self, targets: Iterable[Any]) -> None:
        """Note the modules of ``targets``."""
        modules = {id(each): each for target in targets for each in modules_of(target)}
        self._digests = [(each, weights_digest(each)) for each in modules.values()]

    def require(self) -> None:
        """Raise a ConfigError if a module's parameters or buffers are others than before."""
        for module, digest in self._digests:
            if weights_digest(module) != digest:
                raise ConfigError(
                    f"the target {type(module).__name__} changed its own weights or statistics "
                    "while it was evaluated, so that the result is of no one model; give a target "
                    "that leaves them alone (is a part of it in training mode?)"
                )

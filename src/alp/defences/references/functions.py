"""``FILE.py:FUNCTION`` and ``MODULE:NAME``: what a user's own code gives."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, final

from torch import Tensor, nn

from alp import seeding
from alp.defences.adapters import as_defence
from alp.defences.base import Defence
from alp.defences.references import REFERENCES, Found, Reference
from alp.errors import AlpError, CheckpointError, ConfigError
from alp.files import exists, expanded

_PROBES = 2
"""Images that a callable is asked with to see whether it is random."""


@REFERENCES.register("function")
def open_function(reference: Reference) -> Found | Defence:
    """A module, a class of one, a function that gives one, or any callable from images (B,3,H,W)
    in [0,1] to logits, such as a function with the argument ``x`` or ``images``.

    Weights that a function makes at random are the same each time: the global generators start
    from a fixed seed.

    Raises:
        CheckpointError: there is no such file, module or name, or it fails.
        ConfigError: it gives something else.
    """
    where, _, name = reference.place.rpartition(":")
    module = _module(where)
    if not hasattr(module, name):
        there = ", ".join(each for each in vars(module) if not each.startswith("_"))
        raise CheckpointError(f"{where} has no {name!r}; it has: {there[:300]}")
    thing = getattr(module, name)
    if not isinstance(thing, nn.Module) and callable(thing) and not _takes_images(thing):
        try:
            with seeding.initialising(0, "reference"):
                thing = thing()
        except AlpError:
            raise
        except Exception as error:  # of the user's code
            raise CheckpointError(
                f"{reference.place} failed ({type(error).__name__}: {error}); give a function "
                "without arguments that gives a module, or one of images"
            ) from error
    if isinstance(thing, Defence):
        _require_settings(reference, "a whole defence")
        return thing.eval()
    if isinstance(thing, nn.Module):
        return Found(thing.eval())
    if not callable(thing):
        raise ConfigError(
            f"{reference.place} gives an object of the type {type(thing).__name__}; give a torch "
            "module, or a callable from images to logits"
        )
    return _callable(reference, thing)


@final
class Call(nn.Module):
    """A function of images as a module."""

    def __init__(self, call: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.call = call

    def forward(self, x: Tensor) -> Any:
        return self.call(x)


def _callable(reference: Reference, call: Callable[[Tensor], Any]) -> Found | Defence:
    """A callable that is no module, random or not."""
    frame = reference.frame(None)
    sides = (frame.height, frame.width) if frame else (32, 32)
    x = seeding.uniform((_PROBES, 3, *sides), seeding.generator(0, "reference"))
    defence = as_defence(call, x)
    if not defence.stochastic:
        return Found(Call(call).eval())
    _require_settings(reference, "a random callable", "size", "classes")
    defence._frame = frame
    defence.classes = reference.classes(None)
    return defence


def _require_settings(reference: Reference, kind: str, *known: str) -> None:
    """Raise a ConfigError for settings that a kind of classifier does not take."""
    others = [name for name in reference.settings if name not in known]
    if others:
        raise ConfigError(
            f"{reference.text} gives {kind}, which takes no {others[0]}; leave it out"
        )


def _takes_images(thing: Any) -> bool:
    """Whether a callable needs an argument: then it is asked with images."""
    from inspect import Parameter, signature

    try:
        parameters = signature(thing).parameters.values()
    except (TypeError, ValueError):
        return False
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    return any(each.kind in kinds and each.default is Parameter.empty for each in parameters)


def _module(where: str) -> ModuleType:
    """The module of a file, or of a dotted name.

    Raises:
        CheckpointError: there is none, or it fails when it is imported.
    """
    path = expanded(where)
    try:
        if path.suffix == ".py":
            if not exists(path):
                raise CheckpointError(f"there is no file {where}; give FILE.py:FUNCTION")
            return _of_file(path)
        return import_module(where)
    except AlpError:
        raise
    except Exception as error:  # of the user's code
        raise CheckpointError(
            f"{where} cannot be imported ({type(error).__name__}: {error}); give FILE.py:FUNCTION, "
            "or the name of a module that Python finds"
        ) from error


def _of_file(path: Path) -> ModuleType:
    """A file as a module, beside which it finds its own; read once in a process."""
    name = f"alp_reference_{abs(hash(path.resolve()))}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(folder)
    return module

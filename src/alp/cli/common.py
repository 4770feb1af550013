"""What the commands that attack share: the models that they load, and the attacks they offer.

What the commands share that deploy a model: its engine, its consensus, their calibration.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from alp.attacks import ATTACKS, Attack
from alp.attacks.library import LIBRARY_ATTACKS
from alp.errors import ConfigError

if TYPE_CHECKING:
    from alp.deploy.deployment import Deployment
    from alp.deploy.engine import Floats


def methods() -> dict[str, type[Attack]]:
    """Name to attack, without those for training alone, whose points may leave the threat."""
    every: dict[str, type[Attack]] = {**ATTACKS, **LIBRARY_ATTACKS}
    return {name: kind for name, kind in every.items() if not getattr(kind, "training", False)}


def name_of(path: Path) -> str:
    """What weights are called: a file after its folder where its own name says nothing, a row of
    a package after both."""
    if not path.suffix and not path.exists() and len(path.parts) > 1:
        return f"{path.parent.name}-{path.name}"
    return path.resolve().parent.name if path.stem == "weights" else path.stem


def names(weights: tuple[Path, ...]) -> dict[str, Path]:
    """A name for each weights file.

    Raises:
        ConfigError: two files have the same name.
    """
    named: dict[str, Path] = {}
    for path in weights:
        name = name_of(path)
        if name in named:
            raise ConfigError(
                f"{named[name]} and {path} are both called {name!r}; rename one, or evaluate "
                "them into two folders"
            )
        named[name] = path
    return named


CALIBRATION = 512
"""Training images that set the ranges of int8."""


class Chosen(Protocol):
    """The settings of a command that evaluates deployed models."""

    @property
    def data(self) -> str: ...
    @property
    def sequential(self) -> bool: ...
    @property
    def backend(self) -> str | None: ...
    @property
    def precision(self) -> str: ...
    @property
    def seed(self) -> int: ...


def deployment_of(settings: Chosen) -> Deployment:
    """How the settings deploy a defended model."""
    from alp.deploy.deployment import Deployment

    images = None
    if settings.backend is not None:
        images = calibration_images(settings.data, settings.seed, CALIBRATION)
    return Deployment(settings.backend, settings.precision, settings.sequential, images)


def calibration_images(data: str, seed: int, count: int) -> Floats:
    """Clean training images of ``data``, (count,3,H,W), float32 in [0,1]."""
    import torch

    from alp.data import load_data

    split = load_data(data, "train")
    chosen = split.take(min(count, len(split)), seed)
    images: Floats = chosen.batch(torch.arange(len(chosen)))[0].numpy()
    return images

"""What the commands share that attack, or that deploy a model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from alp.attacks import ATTACKS, THREATS, Attack, Threat
from alp.attacks.library import LIBRARY_ATTACKS
from alp.cli.settings import RESUMED, among, given
from alp.config import positive
from alp.data import SPLITS, load_data
from alp.errors import ConfigError

if TYPE_CHECKING:
    from alp.data import Images
    from alp.defences.base import Defence
    from alp.deploy.engine import Floats

CALIBRATION = 512
"""Training images that set the ranges of int8."""


def methods() -> dict[str, type[Attack]]:
    """Name to attack, without those for training alone, whose points may leave the threat."""
    every: dict[str, type[Attack]] = {**ATTACKS, **LIBRARY_ATTACKS}
    return {name: kind for name, kind in every.items() if not getattr(kind, "training", False)}


@dataclass(frozen=True, kw_only=True)
class Attacked:
    """The settings of a command that attacks models."""

    data: str = "cifar10"
    """A data set, such as cifar10 or shapes (embedded), or a folder of pictures laid out
    class/file."""
    split: str = field(default="test", metadata=among(SPLITS))
    """Which split."""
    images: int = 1000
    """How many images, a fixed class-balanced choice; at most all of the split."""
    draws: int | None = None
    """Draws of the deployed prediction; by default as the weights file says."""
    norm: str = field(default="linf", metadata=among(THREATS))
    """The norm of the threat; it decides about --threat."""
    threat: Threat = field(metadata=given(lambda by: THREATS[by["norm"]](), "norm"))
    """The ball of the attacker."""
    seed: int = 0
    """Seed of the choice of images, the attacks and the draws."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    out: Path = field(metadata=RESUMED)
    """Folder for the records."""
    json: bool = False
    """Print JSON."""

    def __post_init__(self) -> None:
        positive(self, "images")

    def chosen_images(self) -> Images:
        """The images that are attacked."""
        return images_of(self.data, self.split, self.images, self.seed)


def images_of(data: str, split: str, count: int, seed: int = 0) -> Images:
    """A class-balanced choice of ``count`` images of a split, of all where it has fewer."""
    images = load_data(data, split)
    return images.take(min(count, len(images)), seed)


def calibration_images(data: str, seed: int, count: int) -> Floats:
    """Clean training images of ``data``, (count,3,H,W), float32 in [0,1]."""
    import torch

    chosen = images_of(data, "train", count, seed)
    images: Floats = chosen.batch(torch.arange(len(chosen)))[0].numpy()
    return images


def name_of(path: Path) -> str:
    """What weights are called: a file after its folder where its own name says nothing, a row of
    a package after both, a reference after what it names."""
    from alp.defences.references import parsed

    text = str(path).partition(",classifier=")[0]
    reference = None if path.suffix == ".safetensors" else parsed(text)
    if reference is not None:
        return reference.label
    path = Path(text)
    if not path.suffix and not path.exists() and len(path.parts) > 1:
        return f"{path.parent.name}-{path.name}"
    return path.resolve().parent.name if path.stem == "weights" else path.stem


def load_named(weights: Iterable[Path], draws: int | None = None) -> dict[str, Defence]:
    """The models of weights files by their names.

    Raises:
        ConfigError: two files have the same name.
        CheckpointError: a file is missing, damaged or of another kind.
    """
    from alp.defences.packaged import load_classifier

    named: dict[str, Path] = {}
    for path in weights:
        name = name_of(path)
        if name in named:
            raise ConfigError(
                f"{named[name]} and {path} are both called {name!r}; rename one, or evaluate "
                "them into two folders"
            )
        named[name] = path
    return {name: load_classifier(path, draws) for name, path in named.items()}

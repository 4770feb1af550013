"""What the commands share: pictures, models, threats, and where units run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from alp.attacks import ATTACKS, THREATS, Attack, Threat
from alp.attacks.library import LIBRARY_ATTACKS
from alp.cli.settings import RESUMED, Printed, among, given
from alp.config import MOST_PIXELS, FrameConfig, positive, require_number, within
from alp.data import SPLITS, load_data
from alp.errors import ConfigError
from alp.executors import EXECUTORS, Workers
from alp.executors.shares import Share

if TYPE_CHECKING:
    from alp.data import Images
    from alp.defences.base import Defence, Model
    from alp.deploy.deployment import Deployment
    from alp.deploy.engine import Floats
    from alp.evaluation.crew import Crew


CALIBRATION = 512
"""Training images that set the ranges of int8."""


def methods() -> dict[str, type[Attack]]:
    """Name to attack, without those for training alone, whose points may leave the threat."""
    every: dict[str, type[Attack]] = {**ATTACKS, **LIBRARY_ATTACKS}
    return {name: kind for name, kind in every.items() if not getattr(kind, "training", False)}


@dataclass(frozen=True, kw_only=True)
class Sized(Printed):
    """The settings of a command that brings pictures to one size."""

    size: int | None = None
    """Height and width that pictures are brought to; by default the classifier's, or their own."""

    def __post_init__(self) -> None:
        if self.size is not None:
            require_number("size", self.size, 1, MOST_PIXELS, whole=True)


@dataclass(frozen=True, kw_only=True)
class Chosen(Sized):
    """The settings of a command that asks models about images of a data set."""

    data: str = "cifar10"
    """A data set, such as cifar10 or shapes (embedded), or a folder: of pictures laid out
    class/file, or a data set of Hugging Face's."""
    split: str = field(default="test", metadata=among(SPLITS))
    """Which split."""
    images: int | None = None
    """How many images, a fixed class-balanced choice; by default 1000, or all of a smaller
    split."""
    seed: int = 0
    """Seed of the choice of images and of all that is drawn."""
    out: Path = field(metadata=RESUMED)
    """Folder for the records."""

    usual: ClassVar[int] = 1000
    """How many images where nobody says."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.images is not None:
            require_number("images", self.images, 1, whole=True)

    def chosen_images(self, models: Iterable[Defence]) -> Images:
        """The images, of the size of the models."""
        frame = frame_for(models, self.size)
        return images_of(self.data, self.split, self.images, self.usual, self.seed, frame)


@dataclass(frozen=True, kw_only=True)
class Attacked(Chosen):
    """The settings of a command that attacks models."""

    draws: int | None = None
    """Draws of the deployed prediction; by default as the weights file says."""
    norm: str = field(default="linf", metadata=among(THREATS))
    """The norm of the threat; it decides about --threat."""
    threat: Threat = field(metadata=given(lambda by: THREATS[by["norm"]](), "norm"))
    """The ball of the attacker."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""


def images_of(
    data: str,
    split: str,
    count: int | None,
    usual: int,
    seed: int = 0,
    frame: FrameConfig | None = None,
) -> Images:
    """A class-balanced choice of ``count`` images of a split; where it is None, of the ``usual``
    number or all of a smaller split.

    Raises:
        ConfigError: the split has fewer than ``count``.
    """
    images = load_data(data, split, frame=frame)
    return images.take(min(usual, len(images)) if count is None else count, seed)


def frame_for(models: Iterable[Model], size: int | None) -> FrameConfig | None:
    """How pictures become images of ``models``: as their classifiers say, at ``size`` where that
    is given. None where nobody says.

    Raises:
        ConfigError: two classifiers take images of different sizes, and no size is given.
    """
    frames = {each.frame for each in models if each.frame is not None}
    if size is not None:
        like = next(iter(frames), FrameConfig())
        return replace(like, height=size, width=size)
    if len(frames) > 1:
        sizes = " and ".join(sorted(f"{each.height} x {each.width}" for each in frames))
        raise ConfigError(f"the models take pictures of {sizes} pixels; give one --size")
    return next(iter(frames), None)


def calibration_images(
    data: str, seed: int, count: int, frame: FrameConfig | None = None
) -> Floats:
    """Clean training images of ``data``, (count,3,H,W), float32 in [0,1]; all where there are
    fewer."""
    import torch

    chosen = images_of(data, "train", None, count, seed, frame)
    images: Floats = chosen.batch(torch.arange(len(chosen)))[0].numpy()
    return images


def deployment(
    data: str,
    seed: int,
    frame: FrameConfig | None,
    backend: str | None,
    precision: str,
    sequential: bool = False,
) -> Deployment:
    """How models are deployed for pictures of ``frame``: as they are, or by an engine, whose ranges
    are those of training images of ``data``."""
    from alp.deploy.deployment import Deployment

    ranges = None if backend is None else calibration_images(data, seed, CALIBRATION, frame)
    return Deployment(backend, precision, sequential, ranges)


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


@dataclass(frozen=True, kw_only=True)
class Started(Printed):
    """Where the units of a command run."""

    executor: str = field(default="processes", metadata=among(EXECUTORS))
    """Where the units run (docs/cluster.md); it decides about --workers."""
    workers: Workers = field(metadata=given(lambda by: EXECUTORS[by["executor"]](), "executor"))
    """The executor's settings."""
    processes: int = 1
    """Workers that share out the units. One is this process, unless another executor is asked
    for."""
    threads: int = 0
    """Processor threads of each worker, on which the last bit of a result depends; 0 for what the
    executor has: all cores shared out among processes, 1 elsewhere, and for certify 1 wherever
    there are several processes."""

    def __post_init__(self) -> None:
        positive(self, "processes")
        within(self, 0, 10_000, "threads")

    @property
    def crew(self) -> Crew:
        """The workers."""
        from alp.evaluation.crew import Crew

        return Crew(None, self.processes, self.threads or None, self.workers)


@dataclass(frozen=True, kw_only=True)
class Spread(Started):
    """Which units a command does, and where."""

    share: str | None = None
    """K/N: do this share of the units, and end; 'alp gather' makes the record of all. In an array
    of jobs auto (Slurm) or auto/N (Kubernetes). By default the setting ALP_SHARE, or all units."""

    def __post_init__(self) -> None:
        super().__post_init__()
        Share.of(self.share)

    @property
    def own_share(self) -> Share | None:
        """The share of this command."""
        return Share.of(self.share)

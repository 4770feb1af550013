"""References to classifiers that are not alp's own: one text names a classifier of any kind.

    timm:resnet50                    a model of timm, with its own transform and head
    hf:FOLDER_OR_ID                  a model of transformers for image classification
    robustbench:NAME                 a model of RobustBench's zoo
    FILE.pt2                         a program of torch.export
    FILE.onnx                        answers only: nobody sees a gradient
    FILE.py:FUNCTION, MODULE:NAME    what a function of the user's gives

What a classifier does not say itself follows the name, each after a comma:

    net.pt2,size=64,mean=0.485:0.456:0.406,std=0.229:0.224:0.225,classes=names.txt

A kind is a module of this package with a function that is registered under its prefix or its
ending. Importing this package imports no torch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alp.config import FrameConfig, class_names
from alp.errors import ConfigError
from alp.files import exists, expanded
from alp.registry import Registry

if TYPE_CHECKING:
    from torch import nn

SETTINGS = {
    "size": "height and width of its images, such as 224 or 224:288",
    "crop": "share of the shorter side that its centre crop keeps, such as 0.875",
    "interpolation": "how pictures are resized: bilinear, bicubic, lanczos or nearest",
    "mean": "what is subtracted from each channel of images in [0,1], such as 0.485:0.456:0.406",
    "std": "what each channel is divided by then, such as 0.229:0.224:0.225",
    "outputs": "what it answers: logits or probabilities",
    "classes": "the names of its classes, such as cat:dog, or a text file with one a line",
    "weights": "of timm and robustbench: pretrained (the default), random, or a safetensors file",
}
"""What may follow a name, and what each means."""

CODE = frozenset({"function"})
"""Kinds that run code of the user's: a file alone never makes anyone run it."""


@dataclass(frozen=True)
class Found:
    """What a kind finds at a place. What the user's settings say goes before it."""

    module: nn.Module
    """From normalised images (B,3,H,W) to logits or probabilities, in evaluation mode."""
    frame: FrameConfig | None = None
    """How its pictures are made; None where any size will do."""
    fixed: bool = False
    """Whether it takes images of that size alone."""
    mean: tuple[float, ...] = (0.0,)
    """What is subtracted from images in [0,1], one number or one a channel."""
    std: tuple[float, ...] = (1.0,)
    """What they are divided by then."""
    classes: tuple[str, ...] | None = None
    """Names of the classes; None where it does not say."""
    gradients: bool = True
    """Whether anybody can compute its gradient."""
    digest: str = ""
    """sha256 (hex) by which the classifier is known; without one, that of its weights."""


REFERENCES: Registry[Callable[[Reference], Any]] = Registry(
    "REFERENCES", "alp.defences.references", "alp.references"
)
"""Prefix (``timm``) or ending (``.pt2``) to what opens such a classifier: a function of the
reference that gives a :class:`Found`, or a defence where the user wrote one."""


@dataclass(frozen=True)
class Reference:
    """A name of a classifier, taken apart."""

    kind: str
    """A name of ``REFERENCES``."""
    place: str
    """What follows the prefix: a name, a path, or a module and a function."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Setting to its text, as the user wrote it."""

    @property
    def text(self) -> str:
        """The reference as one writes it."""
        bare = self.kind.startswith(".") or self.kind == "function"
        head = self.place if bare else f"{self.kind}:{self.place}"
        return ",".join([head, *(f"{key}={value}" for key, value in self.settings.items())])

    @property
    def label(self) -> str:
        """A short name that can be that of a file."""
        place = Path(self.place)
        stem = place.stem if self.kind.startswith(".") else self.place.rpartition("/")[2]
        return re.sub(r"[^\w.-]+", "-", stem.replace(".py:", "-")).strip("-.") or "classifier"

    def numbers(self, name: str) -> tuple[float, ...] | None:
        """The numbers of a setting, separated by colons; None where it is not given.

        Raises:
            ConfigError: they are no finite numbers.
        """
        if name not in self.settings:
            return None
        text = self.settings[name]
        try:
            numbers = tuple(float(each) for each in text.split(":"))
        except ValueError as error:
            raise ConfigError(f"{name}={text}: give {SETTINGS[name]}") from error
        if not all(map(math.isfinite, numbers)):
            raise ConfigError(f"{name}={text}: give {SETTINGS[name]}")
        return numbers

    def frame(self, found: FrameConfig | None) -> FrameConfig | None:
        """How pictures are made: as the settings say, and where they do not, as was found.

        Raises:
            ConfigError: a setting cannot be used.
        """
        size = self.numbers("size")
        if size is None and found is None:
            alone = [name for name in ("crop", "interpolation") if name in self.settings]
            if alone:
                raise ConfigError(f"{self.text}: {alone[0]} needs a size; add size=...")
            return None
        if size is not None and (len(size) > 2 or any(each != int(each) for each in size)):
            raise ConfigError(f"size={self.settings['size']}: give {SETTINGS['size']}")
        sides = (found.height, found.width) if size is None and found else (size or ())
        crop = self.numbers("crop")
        if crop is not None and len(crop) > 1:
            raise ConfigError(f"crop={self.settings['crop']}: give one {SETTINGS['crop']}")
        return FrameConfig(
            int(sides[0]),
            int(sides[-1]),
            crop[0] if crop else (found.crop if found else 1.0),
            self.settings.get("interpolation", found.interpolation if found else "bicubic"),  # type: ignore[arg-type]
        )

    def channels(self, name: str, found: tuple[float, ...]) -> tuple[float, ...]:
        """``mean`` or ``std``: one number, or one for each of the three channels.

        Raises:
            ConfigError: there are others, or a deviation is zero.
        """
        values = self.numbers(name) or found
        if len(values) not in (1, 3) or (name == "std" and min(values) <= 0):
            raise ConfigError(
                f"{name}={':'.join(map(str, values))}: give one number, or three, {SETTINGS[name]}"
            )
        return values

    def classes(self, found: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """The class names that the settings give, else those that were found.

        Raises:
            ConfigError: they cannot be read, or are no names of classes.
        """
        if "classes" not in self.settings:
            return found
        text = self.settings["classes"]
        path = expanded(text)
        if not exists(path):
            return class_names(text.split(":"))
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise ConfigError(f"the class names in {path} cannot be read: {error}") from error
        return class_names([line.strip() for line in lines if line.strip()])


def parsed(text: str | Path) -> Reference | None:
    """A reference taken apart; None where ``text`` is none, but a weights file or a package.

    Raises:
        ConfigError: it has a setting that there is not, or is code without a function.
    """
    head, *rest = str(text).split(",")
    while rest and "=" not in rest[0]:  # a comma of the name's own
        head = f"{head},{rest.pop(0)}"
    kind, place = _kind(head)
    if not kind:
        if Path(head).suffix == ".py":
            raise ConfigError(f"{head} is Python code; name what gives the model: {head}:FUNCTION")
        return None
    settings: dict[str, str] = {}
    for each in rest:
        name, equals, value = each.partition("=")
        if not equals or name not in SETTINGS or not value:
            known = ", ".join(f"{key}=..." for key in SETTINGS)
            raise ConfigError(f"{text}: there is no setting {each!r}; after a comma give {known}")
        settings[name] = value
    return Reference(kind, place, settings)


def _kind(head: str) -> tuple[str, str]:
    ending = Path(head).suffix.lower()
    prefix, colon, rest = head.partition(":")
    if colon and prefix in REFERENCES and not prefix.startswith("."):
        return prefix, rest
    if ending in REFERENCES and ending.startswith("."):
        return ending, head
    if colon and prefix and re.fullmatch(r"[^\W\d]\w*", rest):
        return "function", head
    return "", ""

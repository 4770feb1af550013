"""``alp data``: what a data set holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from alp.cli import COMMANDS
from alp.cli.common import Sized, frame_for
from alp.cli.settings import POSITIONAL, among
from alp.data import DATASETS, SPLITS, load_data

if TYPE_CHECKING:
    from rich.table import Table

    from alp.data import Images


@dataclass(frozen=True, kw_only=True)
class Settings(Sized):
    """Describe a data set: images of each class, size, digest, and where it came from."""

    name: str = field(metadata=POSITIONAL)
    """A data set, such as cifar10 or shapes (embedded), or a folder of pictures laid out
    class/file."""
    split: tuple[str, ...] = field(default=SPLITS, metadata=among(SPLITS))
    """Which splits."""
    size: int | None = None
    """Height and width that pictures are brought to; by default their own."""


@COMMANDS.register("data", order=0, summary="describe a data set: sizes, classes, digests")
def run(settings: Settings) -> None:
    """Print the description; loading verifies checksums and counts."""
    from alp.cli.console import show

    found = [
        load_data(settings.name, split, frame=frame_for([], settings.size))
        for split in settings.split
    ]
    described = {images.split: _describe(images, settings.name) for images in found}
    name = found[0].name
    show(settings.json, {"name": name, "splits": described}, *_lines(name, described))


def _describe(images: Images, name: str) -> dict[str, Any]:
    counts = images.labels.bincount(minlength=len(images.classes)).tolist()
    return {
        "images": len(images),
        "shape": list(images.images.shape[1:]),
        "classes": dict(zip(images.classes, counts, strict=True)),
        "digest": images.digest,
        "source": images.source or DATASETS.summary(name),
    }


def _lines(name: str, described: dict[str, Any]) -> Iterator[str | Table]:
    from alp.cli.console import table

    first, each = next(iter(described.values())), list(described.values())
    channels, height, width = first["shape"]
    size = f"{width}x{height} pixels, {channels} channels, {len(first['classes'])} classes"
    yield f"{name}: {size}; source: {first['source']}"
    rows = [["class", *described]]
    rows += [[label, *(f"{one['classes'][label]:,}" for one in each)] for label in first["classes"]]
    rows.append(["all", *(f"{one['images']:,}" for one in each)])
    rows.append(["sha256", *(one["digest"][:12] for one in each)])
    yield table(rows)

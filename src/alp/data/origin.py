"""Where images come from, so that another process or machine loads them itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from alp.config import FrameConfig


@dataclass(frozen=True)
class DataOrigin:
    """The arguments of :func:`alp.data.load_data`, and the choices made of what it loads."""

    name: str
    """A name in ``DATASETS``, or the whole path of a folder."""
    split: str
    """Which split."""
    seed: int
    """Seed of the split."""
    root: Path | None = None
    """The folder that holds the data, where it is not the setting's."""
    frame: FrameConfig | None = None
    """The size that pictures are brought to."""
    taken: tuple[tuple[int, int], ...] = ()
    """Number of images and seed of each choice of some of them."""
    digest: str = ""
    """Of the images."""

    def take(self, count: int, seed: int) -> DataOrigin:
        """The origin of a choice of some of the images."""
        return replace(self, taken=(*self.taken, (count, seed)))

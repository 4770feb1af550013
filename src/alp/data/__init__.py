"""Data: a name or a folder becomes images and labels; batches and augmentation on tensors.

Importing this package does not import torch: the loaders below are imported when they are called.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alp.data.augment import Augment
from alp.errors import UnknownNameError, choose
from alp.files import expanded

if TYPE_CHECKING:
    from alp.data.images import Images

__all__ = ["DATASETS", "SPLITS", "Augment", "Images", "load_data"]

SPLITS = ("train", "validation", "test")


def _cifar10(split: str, seed: int, root: Path | None) -> Images:
    from alp.data.cifar10 import load_cifar10

    return load_cifar10(split, root)


def _shapes(split: str, seed: int, root: Path | None) -> Images:
    from alp.data.shapes import load_shapes

    return load_shapes(split, seed)


DATASETS: dict[str, Callable[[str, int, Path | None], Images]] = {
    "cifar10": _cifar10,
    "shapes": _shapes,
}


def load_data(
    name_or_folder: str | Path, split: str, *, seed: int = 0, root: Path | None = None
) -> Images:
    """The images of one split.

    Args:
        name_or_folder: a name in ``DATASETS``, or a folder of pictures laid out class/file, with
            ``train`` and ``test`` above the classes or, without them, split by ``seed``.
        split: ``train``, ``validation`` or ``test``. The validation images are carved out of the
            training images, the same ones always.
        seed: which ``shapes`` are drawn, and which pictures of a folder without ``test`` are its
            test images. CIFAR-10 does not depend on it.
        root: the folder that holds ``cifar10/``; without it the setting ALP_DATA.

    Raises:
        UnknownNameError: no such split, or neither a data set nor a folder of that name.
        DataError: the data is missing, damaged or laid out in another way.
    """
    choose(dict.fromkeys(SPLITS), split, "split")
    name = str(name_or_folder)
    if name in DATASETS:
        return DATASETS[name](split, seed, root)
    folder = expanded(name)
    if not name or not folder.is_dir():
        raise UnknownNameError(
            f"{name!r} is neither a data set nor an existing folder; give one of: "
            f"{', '.join(sorted(DATASETS))}, or a folder with one subfolder of pictures a class"
        )
    from alp.data.folder import load_folder

    return load_folder(folder, split, seed)


def __getattr__(name: str) -> Any:
    if name == "Images":
        from alp.data.images import Images

        return Images
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

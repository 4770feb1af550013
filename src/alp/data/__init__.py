"""Data: a name or a folder becomes images and labels; batches and augmentation on tensors.

Importing this package does not import torch: a loader is imported when it is asked for.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alp.data.augment import Augment
from alp.data.origin import DataOrigin
from alp.errors import DataError, UnknownNameError, choose
from alp.files import exists, expanded
from alp.registry import Registry

if TYPE_CHECKING:
    from alp.config import FrameConfig
    from alp.data.images import Images

__all__ = ["DATASETS", "SPLITS", "Augment", "Images", "load_data"]

SPLITS = ("train", "validation", "test")


DATASETS: Registry[Callable[[str, int, Path | None], Images]] = Registry(
    "DATASETS", "alp.data", "alp.data"
)
"""Name to what loads a split, of which it takes the name, the seed and the folder of
:func:`load_data`."""


def load_data(
    name_or_folder: str | Path,
    split: str,
    *,
    seed: int = 0,
    root: Path | None = None,
    frame: FrameConfig | None = None,
) -> Images:
    """The images of one split.

    Args:
        name_or_folder: a name in ``DATASETS``, or a folder: of pictures laid out class/file, with
            ``train`` and ``test`` above the classes or, without them, split by ``seed``; or a data
            set of Hugging Face's ``datasets``, as ``save_to_disk`` writes it or in Parquet.
        split: ``train``, ``validation`` or ``test``. The validation images are carved out of the
            training images, the same ones always.
        seed: which ``shapes`` are drawn, and which pictures of a folder without ``test`` are its
            test images. CIFAR-10 does not depend on it.
        root: the folder that holds ``cifar10/``; without it the setting ALP_DATA.
        frame: the size of the images and how pictures are brought to it, such as
            ``FrameConfig(224, 224)``; without it pictures of a folder have to be of one size.

    Raises:
        UnknownNameError: no such split, or neither a data set nor a folder of that name.
        DataError: the data is missing, damaged or laid out in another way.
    """
    choose(dict.fromkeys(SPLITS), split, "split")
    name = str(name_or_folder)
    if name in DATASETS:
        images = DATASETS[name](split, seed, root)
        images = images if frame is None else images.framed(frame)
        return replace(images, origin=DataOrigin(name, split, seed, root, frame))
    folder = expanded(name)
    if not name or not exists(folder, Path.is_dir):
        raise UnknownNameError(
            f"{name[:300]!r} is neither a data set nor an existing folder; give one of: "
            f"{', '.join(sorted(DATASETS))}, or a folder with one subfolder of pictures a class"
        )
    from alp.data.folder import load_folder

    images = load_folder(folder, split, seed, frame)
    return replace(images, origin=DataOrigin(str(folder.absolute()), split, seed, None, frame))


def loaded(sent: Images | DataOrigin) -> Images:
    """What :meth:`alp.data.images.Images.reference` gave, as the images; verified.

    Raises:
        DataError: this machine has other ones, or none.
    """
    if not isinstance(sent, DataOrigin):
        return sent
    images = load_data(sent.name, sent.split, seed=sent.seed, root=sent.root, frame=sent.frame)
    for count, seed in sent.taken:
        images = images.take(min(count, len(images)), seed)
    if images.digest != sent.digest:
        raise DataError(
            f"the {sent.split} images of {sent.name} on {socket.gethostname()} have the digest "
            f"{images.digest[:16]}, those of the evaluation {sent.digest[:16]}; give that machine "
            "the same data"
        )
    return images


def __getattr__(name: str) -> Any:
    if name == "Images":
        from alp.data.images import Images

        return Images
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

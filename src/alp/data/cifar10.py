"""CIFAR-10 (Krizhevsky 2009) in the hub's Parquet layout, decoded and verified."""

from __future__ import annotations

import os
import re
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from alp.data.cache import cached, file_key
from alp.data.decode import decode_all
from alp.data.hub import download
from alp.data.images import Images
from alp.data.parquet import read_rows
from alp.data.splits import carve_validation
from alp.errors import DataError

REPOSITORY = "uoft-cs/cifar10"
CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
PER_CLASS = {"train": 5_000, "test": 1_000}
DIGESTS = {
    "train": "e1d1dfd05596e20389c91b2a403284692aadfb9598a1b150aae3696975073688",
    "validation": "f9fff3800b53e555e902d62a6880584d8389567013d0d2f73c8de8a24fd2dec8",
    "test": "83f8879e599198c0092faa27c13df042aa270c8662f043c3bc0a4ac9aa04278d",
}
"""``Images.digest`` of each split, decoded from the published files."""

REPAIR = (
    "set ALP_DATA to a folder that holds cifar10/train-*.parquet and cifar10/test-*.parquet, "
    f"copied from https://huggingface.co/datasets/{REPOSITORY}"
)


def load_cifar10(split: str, root: Path | None = None) -> Images:
    """A split of CIFAR-10: 45,000 train, 5,000 validation or 10,000 test images of 32x32.

    The files come from ``root``, else the setting ALP_DATA, else the hub.

    Raises:
        DataError: a file is missing, truncated, corrupted or not CIFAR-10's, or it has to be
            downloaded and cannot be.
    """
    part = "test" if split == "test" else "train"
    files = find_files(part, root)

    def build() -> dict[str, Images]:
        pool = decode(files, part)
        if part == "test":
            found = {"test": pool}
        else:
            train, validation = carve_validation(pool)
            found = {"train": train, "validation": validation}
        for name, images in found.items():
            if images.digest != DIGESTS[name]:
                raise DataError(
                    f"the pixels or labels in {_names(files)} are not the published CIFAR-10 "
                    f"({name} has sha256 {images.digest}, expected {DIGESTS[name]}): get the files "
                    f"again and {REPAIR}"
                )
        return found

    return cached("cifar10", file_key({path.name: path for path in files}), split, build)


def find_files(part: str, root: Path | None = None) -> list[Path]:
    """The Parquet files of ``train`` or ``test``, in order and complete.

    Raises:
        DataError: the folder, or one of its numbered files, is missing.
    """
    setting = root or os.environ.get("ALP_DATA")
    if setting:
        folder = Path(setting).expanduser() / "cifar10"
        if not folder.is_dir():
            raise DataError(
                f"there is no folder {folder}: {REPAIR}; or unset ALP_DATA to download it"
            )
    else:
        folder = download(REPOSITORY, f"*{part}-*.parquet", REPAIR)
    found = {path.name: path for path in sorted(folder.rglob(f"{part}-*.parquet"))}
    counts = {int(m[1]) for name in found if (m := re.search(r"-of-(\d+)\.parquet$", name))}
    if not counts:
        raise DataError(f"there is no {part}-00000-of-*.parquet in {folder}: {REPAIR}")
    count = max(counts)
    expected = [f"{part}-{number:05d}-of-{count:05d}.parquet" for number in range(count)]
    for name in expected:
        if name not in found:
            raise DataError(f"{folder / name} is missing: {REPAIR}")
    return [found[name] for name in expected]


def decode(files: list[Path], part: str) -> Images:
    """Every image of ``train`` (50,000) or ``test`` (10,000), in canonical order.

    Copies of CIFAR-10 differ in the order of their rows and in how they are cut into files. Sorted
    by content, each gives the same splits, subsets and digests.

    Raises:
        DataError: a file cannot be read, or rows, labels or class counts are not CIFAR-10's.
    """
    pixels, labels = [], []
    for path in files:
        pictures, numbers = read_rows(path, "img", "label", REPAIR)
        names = [f"{path}, row {row}" for row in range(len(pictures))]
        pixels.append(decode_all(pictures, names, size=(32, 32)))
        labels.append(numbers)
    label = np.concatenate(labels)
    counts = np.bincount(label[(label >= 0) & (label < 10)], minlength=10)
    if len(label) != 10 * PER_CLASS[part] or (counts != PER_CLASS[part]).any():
        raise DataError(
            f"{_names(files)} hold {len(label)} images with class counts {counts.tolist()}; "
            f"CIFAR-10 has {PER_CLASS[part]} of each of the 10 classes: get the files again and "
            f"{REPAIR}"
        )
    image = np.concatenate(pixels)
    order = sorted(
        range(len(label)), key=lambda row: (sha256(image[row].tobytes()).digest(), label[row])
    )
    images = torch.from_numpy(image[order]).permute(0, 3, 1, 2)
    return Images.of(images, torch.from_numpy(label[order]), CLASSES, "cifar10", part)


def _names(files: list[Path]) -> str:
    return ", ".join(str(path) for path in files)

"""CIFAR-10 (Krizhevsky 2009) in the hub's Parquet layout, decoded and verified.

Pictures and labels from a Parquet file in the hub's layout.

Data sets from the Hugging Face hub: what is on disk first, and a fast, clear failure offline.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from alp.data import DATASETS
from alp.data.cache import cached, file_key
from alp.data.decode import decode_all
from alp.data.images import Images, carve_validation
from alp.errors import DataError, install
from alp.files import exists, expanded


def read_rows(
    path: Path, picture: str, label: str, repair: str
) -> tuple[list[bytes], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """The encoded pictures and int64 labels of a file with columns ``picture`` {bytes, path} and
    ``label``.

    Raises:
        DataError: the file cannot be read or has other columns; it ends with ``repair``.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path, columns=[picture, label], partitioning=None)
        pictures = table.column(picture).combine_chunks().field("bytes").to_pylist()
        labels = table.column(label).cast(pyarrow.int64()).to_numpy()
    except (pyarrow.ArrowException, OSError, KeyError, TypeError, AttributeError) as error:
        reason = str(error).strip().splitlines()[:1]
        raise DataError(
            f"cannot read {path} as Parquet with the columns {picture} (bytes, path) and {label} "
            f"({''.join(reason)}); it is damaged or another file: get it again and {repair}"
        ) from error
    if table.column(label).null_count or None in pictures:
        raise DataError(f"{path} has rows without picture or label: get it again and {repair}")
    return pictures, np.ascontiguousarray(labels, dtype=np.int64)


PROBE_SECONDS = 5.0


def download(repository: str, pattern: str, repair: str) -> Path:
    """The local folder of a data set's snapshot that holds the files matching ``pattern``.

    A snapshot that is already in the hub's own cache is used without a connection.

    Raises:
        DataError: huggingface_hub is not installed, or the hub cannot be reached; the message ends
            with ``repair``, which says how to give the files by hand.
    """
    try:
        from huggingface_hub import HfApi, snapshot_download
    except ImportError as error:
        raise DataError(
            f"{repository} has to be downloaded, but huggingface_hub is not installed: "
            f"{install('hub')}, or {repair}"
        ) from error
    fetch = partial(snapshot_download, repository, repo_type="dataset", allow_patterns=[pattern])
    try:
        folder = Path(fetch(local_files_only=True))
        if any(folder.rglob(pattern)):
            return folder
    except OSError:
        pass  # not in the hub's cache yet
    try:
        # The download itself retries for half a minute when there is no connection; this does not.
        revision = HfApi().dataset_info(repository, timeout=PROBE_SECONDS).sha
        return Path(fetch(revision=revision))
    except Exception as error:  # the hub's client raises those of whichever HTTP library it uses
        reason = str(error).strip().splitlines()[:1]
        raise DataError(
            f"cannot download {repository} from the Hugging Face hub "
            f"({type(error).__name__}: {''.join(reason)}): connect to the network, or {repair}"
        ) from error


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


@DATASETS.register("cifar10")
def load_cifar10(split: str, seed: int = 0, root: Path | None = None) -> Images:
    """A split of CIFAR-10: 45,000 train, 5,000 validation or 10,000 test images of 32x32, which
    depend on no seed.

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

    images = cached("cifar10", file_key({path.name: path for path in files}), split, build)
    return replace(images, source=str(files[0].parent))


def find_files(part: str, root: Path | None = None) -> list[Path]:
    """The Parquet files of ``train`` or ``test``, in order and complete.

    Raises:
        DataError: the folder, or one of its numbered files, is missing.
    """
    setting = root or os.environ.get("ALP_DATA")
    if setting:
        folder = expanded(setting) / "cifar10"
        if not exists(folder, Path.is_dir):
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
    files = []
    for number in range(count):
        name = f"{part}-{number:05d}-of-{count:05d}.parquet"
        if name not in found:
            raise DataError(f"{folder / name} is missing: {REPAIR}")
        files.append(found[name])
    return files


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

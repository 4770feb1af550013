"""Any folder of pictures laid out class/file, so that users can protect their own classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from alp.config import FrameConfig, to_dict
from alp.data.cache import cached, file_key
from alp.data.images import (
    TEST_SHARE,
    VALIDATION_SEED,
    VALIDATION_SHARE,
    Images,
    stratified,
)
from alp.data.streamed import Files, Pictures, Streamed, frame_of_all, is_large
from alp.data.tables import is_table, read_table
from alp.errors import DataError
from alp.files import exists


def load_folder(
    folder: Path, split: str, seed: int = 0, frame: FrameConfig | None = None
) -> Images:
    """A split of the pictures in ``folder``: a folder a class, or a data set of Hugging Face's
    ``datasets``, in Arrow or Parquet.

    With subfolders ``train`` and ``test`` the classes are below those, the same in both. Else the
    classes are the subfolders of ``folder``, and a fifth of each, drawn by ``seed``, is the test
    split. Hidden files and folders are passed over. A tenth of each class of the training pictures
    is the validation split. A split of more than 1 GiB of pixels is decoded as it is needed.

    Args:
        frame: the size of the images, and how pictures are brought to it; without it they all have
            to be of one size.

    Raises:
        DataError: there is no class, an empty one, a file that is not a picture, a picture of
            another size and no frame, or a class with too few pictures to be split.
    """
    folder = folder.resolve()
    pictures: Pictures
    if is_table(folder):
        pictures, labels, classes, divided = read_table(folder, split)
        key = f"table {file_key(_tables(folder))}"
    else:
        files, labels, classes, divided = _listed(folder, split)
        pictures = Files(files)
        key = file_key({path.relative_to(folder).as_posix(): path for path in files})
    _require_enough(labels, classes, folder, divided, split)
    rows = _rows(labels, split, seed, divided)
    size = frame or frame_of_all(pictures)

    def made(part: str, index: torch.Tensor) -> Images:
        images = Streamed(pictures, index.numpy(), size, exact=frame is None)
        pixels = images if is_large(len(index), size) else images[:].contiguous()
        return Images.of(pixels, labels[index], classes, folder.name, part)

    if is_large(len(rows[split]), size):
        return replace(made(split, rows[split]), source=str(folder))
    if frame is not None:
        key += f" {to_dict(frame)}"
    key = key if divided else f"{seed}-{key}"
    small = {part: index for part, index in rows.items() if not is_large(len(index), size)}
    images = cached(
        folder.name, key, split, lambda: {part: made(part, index) for part, index in small.items()}
    )
    return replace(images, source=str(folder))


def _require_enough(
    labels: torch.Tensor, classes: Sequence[str], folder: Path, divided: bool, split: str
) -> None:
    """Refuse a class with fewer pictures than there are splits to make of them."""
    splits = ["test"] if divided and split == "test" else ["training", "validation"]
    if not divided:
        splits.append("test")
    for name, count in zip(classes, torch.bincount(labels, minlength=len(classes)), strict=True):
        if 0 < count < len(splits):
            raise DataError(
                f"class {name} of {folder} has too few pictures, {count}; give {len(splits)} or "
                f"more, of which {', '.join(splits)} get one each, or remove it"
            )


def _rows(labels: torch.Tensor, split: str, seed: int, divided: bool) -> dict[str, torch.Tensor]:
    """The pictures of each split, as positions among those that were read."""
    pool = torch.arange(len(labels))
    if divided and split == "test":
        return {"test": pool}
    found = {}
    if not divided:
        pool, found["test"] = stratified(labels, TEST_SHARE, seed, "test split")
    train, validation = stratified(labels[pool], VALIDATION_SHARE, VALIDATION_SEED, "validation")
    return found | {"train": pool[train], "validation": pool[validation]}


def _tables(folder: Path) -> dict[str, Path]:
    paths = [each for each in folder.rglob("*") if each.suffix in (".arrow", ".parquet")]
    return {path.relative_to(folder).as_posix(): path for path in sorted(paths)}


def _listed(folder: Path, split: str) -> tuple[list[Path], torch.Tensor, tuple[str, ...], bool]:
    """The picture files of a folder, their labels, the class names, and whether ``train`` and
    ``test`` lie apart."""
    divided = (folder / "train").is_dir() and (folder / "test").is_dir()
    part = folder / ("test" if split == "test" else "train") if divided else folder
    classes = find_classes(folder / "train" if divided else folder)
    if divided and (other := find_classes(folder / "test")) != classes:
        raise DataError(
            f"{folder / 'train'} has the classes {', '.join(classes)} and {folder / 'test'} has "
            f"{', '.join(other)}: give both the same subfolders"
        )
    files = [(path, label) for label, name in enumerate(classes) for path in _files(part / name)]
    labels = torch.tensor([label for _, label in files])
    return [path for path, _ in files], labels, tuple(classes), divided


def find_classes(folder: Path) -> list[str]:
    """The names of the subfolders that are not hidden, sorted.

    Raises:
        DataError: there is none.
    """
    names = [path.name for path in _entries(folder) if exists(path, Path.is_dir)]
    if not names:
        raise DataError(
            f"{folder} has no subfolders: put the pictures of each class into a subfolder named "
            "after the class"
        )
    return names


def _files(folder: Path) -> list[Path]:
    files = _entries(folder)
    if not files:
        raise DataError(f"class {folder} is empty: add pictures, or remove the folder")
    for path in files:
        if exists(path, Path.is_dir):
            raise DataError(
                f"{path} is a folder inside the class {folder.name}: move its pictures up, or put "
                "the classes below train/ and test/, both of them"
            )
        if not exists(path):
            raise DataError(
                f"{path} is no file, or a link to nothing: remove it from the class {folder.name}"
            )
    return files


def _entries(folder: Path) -> list[Path]:
    """What lies in ``folder`` and is not hidden, sorted."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(
            f"the folder {folder} cannot be read ({error.strerror}): correct its rights"
        ) from error

"""Any folder of pictures laid out class/file, so that users can protect their own classifier."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from alp.data.cache import cached, file_key
from alp.data.decode import decode_all
from alp.data.images import TEST_SHARE, Images, carve_validation, stratified
from alp.errors import DataError
from alp.files import exists


def load_folder(folder: Path, split: str, seed: int = 0) -> Images:
    """A split of the pictures in ``folder``, all of one size.

    With subfolders ``train`` and ``test`` the classes are below those, the same in both. Else the
    classes are the subfolders of ``folder``, and a fifth of each, drawn by ``seed``, is the test
    split. Hidden files and folders are passed over. A tenth of each class of the training pictures
    is the validation split.

    Raises:
        DataError: there is no class, an empty one, a file that is not a picture, a picture of
            another size, or a class with too few pictures to be split.
    """
    folder = folder.resolve()
    divided = (folder / "train").is_dir() and (folder / "test").is_dir()
    part = folder / ("test" if split == "test" else "train") if divided else folder
    classes = find_classes(folder / "train" if divided else folder)
    if divided and (other := find_classes(folder / "test")) != classes:
        raise DataError(
            f"{folder / 'train'} has the classes {', '.join(classes)} and {folder / 'test'} has "
            f"{', '.join(other)}: give both the same subfolders"
        )
    files = [(path, label) for label, name in enumerate(classes) for path in _files(part / name)]

    def build() -> dict[str, Images]:
        pool = _decode(files, classes, folder.name, "test" if split == "test" else "train")
        if divided and split == "test":
            return {"test": pool}
        found = {}
        if not divided:
            rest, test = stratified(pool.labels, TEST_SHARE, seed, "test split")
            found["test"], pool = pool.subset(test, "test"), pool.subset(rest)
        found["train"], found["validation"] = carve_validation(pool)
        return found

    key = file_key({path.relative_to(folder).as_posix(): path for path, _ in files})
    images = cached(folder.name, key if divided else f"{seed}-{key}", split, build)
    return replace(images, source=str(folder))


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


def _decode(files: list[tuple[Path, int]], classes: list[str], name: str, split: str) -> Images:
    paths = [path for path, _ in files]
    pixels = decode_all(paths, [str(path) for path in paths])
    labels = torch.tensor([label for _, label in files])
    return Images.of(torch.from_numpy(pixels).permute(0, 3, 1, 2), labels, classes, name, split)

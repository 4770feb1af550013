from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from alp.data import Images, load_data
from alp.errors import AlpError, DataError, UnknownNameError

Fill = Callable[..., None]


@pytest.fixture
def fill(paint: Callable[..., bytes]) -> Fill:
    """A function that puts ``count`` different pictures of each class into a folder."""

    def filled(
        folder: Path, classes: str = "ab", count: int = 20, start: int = 0, **options: object
    ) -> None:
        for number, name in enumerate(classes):
            (folder / name).mkdir(parents=True)
            for k in range(count):
                picture = paint(start + 100 * number + k, **options)
                (folder / name / f"{k:03d}.png").write_bytes(picture)

    return filled


def rows(*parts: Images) -> list[bytes]:
    return sorted(image.numpy().tobytes() for part in parts for image in part.images)


def all_splits(folder: Path, seed: int = 0) -> list[Images]:
    return [load_data(folder, split, seed=seed) for split in ("train", "validation", "test")]


def test_one_folder_is_split_in_three(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path / "cats", size=(12, 8))
    train, validation, test = all_splits(tmp_path / "cats")
    assert [len(train), len(validation), len(test)] == [28, 4, 8]
    assert len(set(rows(train, validation, test))) == 40
    assert test.labels.bincount().tolist() == [4, 4]
    assert train.images.shape[1:] == (3, 8, 12)
    assert (train.name, train.classes) == ("cats", ("a", "b"))


def test_the_seed_draws_the_test_split(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path)
    assert rows(*all_splits(tmp_path, 0)) == rows(*all_splits(tmp_path, 1))
    first, again, other = (load_data(tmp_path, "test", seed=seed) for seed in (0, 0, 1))
    assert first.digest == again.digest != other.digest


def test_train_and_test_folders_are_kept_apart(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path / "train", count=10)
    fill(tmp_path / "test", count=3, start=1000)
    train, validation, test = all_splits(tmp_path)
    assert [len(train), len(validation), len(test)] == [18, 2, 6]
    assert len(set(rows(train, validation, test))) == 26
    assert test.digest == load_data(tmp_path, "test", seed=5).digest


def test_labels_follow_the_folders(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path / "train", count=2)
    fill(tmp_path / "test", count=3, start=1000)
    test = load_data(tmp_path, "test")
    assert test.labels.tolist() == [0, 0, 0, 1, 1, 1]
    from alp.data.decode import decode_one

    pixels = decode_one(tmp_path / "test" / "b" / "002.png", "x")
    assert torch.equal(test.images[5].permute(1, 2, 0), torch.from_numpy(pixels.copy()))


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / "a" / ".DS_Store").write_bytes(b"no picture")
    (tmp_path / "README").write_text("beside the classes")
    assert load_data(tmp_path, "train").classes == ("a", "b")


def test_a_changed_picture_is_seen(tmp_path: Path, fill: Fill, paint: Callable[..., bytes]) -> None:
    fill(tmp_path)
    before = rows(*all_splits(tmp_path))
    (tmp_path / "a" / "000.png").write_bytes(paint(999))
    assert rows(*all_splits(tmp_path)) != before


def test_a_file_that_is_no_picture_is_named(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path)
    (tmp_path / "b" / "notes.txt").write_text("buy milk")
    with pytest.raises(DataError, match=r"b/notes\.txt is not a readable picture"):
        load_data(tmp_path, "train")


def test_a_truncated_picture_is_named(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path)
    path = tmp_path / "a" / "007.png"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match=r"a/007\.png is not a readable picture"):
        load_data(tmp_path, "train")


def test_a_picture_of_another_size_is_named(
    tmp_path: Path, fill: Fill, paint: Callable[..., bytes]
) -> None:
    fill(tmp_path)
    (tmp_path / "b" / "big.png").write_bytes(paint(1, size=(48, 40)))
    with pytest.raises(DataError, match=r"b/big\.png is 48x40 pixels, expected 32x32"):
        load_data(tmp_path, "train")


def test_an_empty_class_is_named(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path)
    (tmp_path / "c").mkdir()
    with pytest.raises(DataError, match=r"class .*/c is empty"):
        load_data(tmp_path, "train")


def test_a_folder_without_classes_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no subfolders"):
        load_data(tmp_path, "train")


def test_a_folder_inside_a_class_is_named(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path / "train")
    with pytest.raises(DataError, match=r"train/a is a folder inside the class train.* test/"):
        load_data(tmp_path, "train")


def test_different_classes_in_train_and_test_are_named(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path / "train", "abc")
    fill(tmp_path / "test", "ab")
    with pytest.raises(DataError, match=r"train has the classes a, b, c and .*test has a, b"):
        load_data(tmp_path, "test")


def test_a_class_with_too_few_pictures_is_named(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, count=2)
    with pytest.raises(DataError, match=r"class a of .* too few pictures, 2; give 3 or more"):
        load_data(tmp_path, "train")


@pytest.mark.parametrize("name", ["cifar100", "no/such/folder", ""])
def test_neither_a_name_nor_a_folder(name: str) -> None:
    with pytest.raises(UnknownNameError, match="give one of: cifar10, shapes, or a folder"):
        load_data(name, "train")


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "data.zip").touch()
    with pytest.raises(UnknownNameError, match="neither a data set nor an existing folder"):
        load_data(tmp_path / "data.zip", "train")


@pytest.mark.parametrize("split", ["Train", "val", "", "all"])
@pytest.mark.parametrize("name", ["cifar10", "shapes", "."])
def test_an_unknown_split_lists_the_valid_ones(name: str, split: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown split '{split}'.*test, train, validation"):
        load_data(name, split)


@pytest.mark.parametrize("kind", ["fifo", "broken", "loop", "socket"])
def test_what_is_no_file_in_a_class_is_named(tmp_path: Path, kind: str) -> None:
    (tmp_path / "cat").mkdir()
    place = tmp_path / "cat" / "x.png"
    if kind == "fifo":
        os.mkfifo(place)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(place))
    else:
        place.symlink_to(place if kind == "loop" else tmp_path / "nothing")
    with pytest.raises(DataError, match=r"x\.png is no file, or a link to nothing"):
        load_data(tmp_path, "train")


def test_a_folder_or_file_without_rights_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a stand-in, since tests may run as the superuser, who may read everything."""
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "x.png").touch()

    def refuse(path: Path, *rest: object) -> None:
        raise PermissionError(13, "Permission denied")

    for method, said in (
        ("open", r"x\.png cannot be read"),
        ("iterdir", "folder .* cannot be read"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(Path, method, refuse)
            with pytest.raises(DataError, match=rf"{said} \(Permission denied\)"):
                load_data(tmp_path, "train")


@pytest.mark.parametrize(
    "name", ["a" * 5000, "a/" * 3000, "nul\0", "", "\udcff", "~", "~nobody-x/y"]
)
def test_a_name_of_no_data_is_an_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nonexistent")
    with pytest.raises(AlpError) as told:
        load_data(name, "train")
    assert len(str(told.value)) < 1000

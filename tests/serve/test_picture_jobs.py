"""Which pictures are purified, where their copies go, and what is left out with its reason."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from alp.data.picture import SUFFIXES, Picture
from alp.errors import ConfigError
from alp.serve.copies import write_copy
from alp.serve.jobs import find_jobs


@pytest.fixture
def touch(tmp_path: Path) -> Callable[..., Path]:
    """Make empty files below the test's folder, and give the folder."""

    def make(*names: str) -> Path:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return make


def places(given: list[Path], out: Path) -> dict[str, str]:
    """Name of each picture that is purified to the place of its copy."""
    return {
        job.picture.name: job.target.relative_to(out).as_posix()
        for job in find_jobs(given, out)
        if not job.refused and not job.skipped
    }


def without(given: list[Path], out: Path) -> dict[str, str]:
    """Name of each file that has no copy to the reason."""
    reasons = {job.picture.name: job.refused or job.skipped for job in find_jobs(given, out)}
    return {name: reason for name, reason in reasons.items() if reason}


def test_all_kinds_that_can_be_read_are_found_and_others_named(touch) -> None:
    names = [f"a{number}{suffix}" for number, suffix in enumerate(SUFFIXES)]
    root = touch(*names, "UPPER.JPG", "b.heic", "notes", ".hidden.png")
    assert {"jfif", "jpe", "tif", "tiff", "gif"} <= {name.split(".")[1] for name in names}
    assert set(places([root], root / "out")) == {*names, "UPPER.JPG"}
    found = without([root], root / "out")
    assert set(found) == {"b.heic", "notes"}
    assert "kind .heic, which is not read" in found["b.heic"]
    assert "without a suffix" in found["notes"]


def test_a_folder_given_as_out_does_not_purify_its_own_copies(touch) -> None:
    root = touch("a.png", "b/c.webp")
    for target in ("a-purified.png", "b/C-PURIFIED.PNG"):
        picture = Picture(np.zeros((2, 2, 3), np.uint8))
        write_copy(root / target, picture, "0" * 32, 0)
    assert places([root], root) == {"a.png": "a-purified.png", "c.webp": "b/c-purified.png"}
    assert not without([root], root)


def test_what_is_only_called_like_a_copy_is_named_and_never_overwritten(touch) -> None:
    root = touch("a.png", "a-purified.png", "b.png")
    assert places([root], root) == {"b.png": "b-purified.png"}
    found = without([root], root)
    assert "was not made as one" in found["a-purified.png"]
    assert "would overwrite" in found["a.png"]
    assert set(places([root], root / "out")) == {"a.png", "b.png"}


@pytest.mark.parametrize("names", [("deep/a.png", "deep/a.JPG"), ("deep/a.tif", "deep/a.gif")])
def test_of_two_pictures_of_one_name_in_one_folder_the_second_is_refused(touch, names) -> None:
    root = touch(*names, "deep/b.png")
    first, second = sorted(Path(name).name for name in names)
    assert set(places([root], root / "out")) == {first, "b.png"}
    found = without([root], root / "out")
    assert set(found) == {second}
    assert found[second].startswith(str(root / "deep" / second))
    assert f"which is the copy of {root / 'deep' / first}" in found[second]


def test_one_name_in_two_folders_is_none_of_ours(touch) -> None:
    root = touch("x/a.png", "y/a.jpg")
    assert set(places([root], root / "out").values()) == {"x/a-purified.png", "y/a-purified.png"}


def test_two_folders_of_one_name(touch) -> None:
    root = touch("x/in/a.png", "y/in/b.png")
    with pytest.raises(ConfigError, match="would both be purified into"):
        places([root / "x/in", root / "y/in"], root / "out")


def test_a_picture_given_twice_is_purified_once(touch, monkeypatch) -> None:
    root = touch("a.png", "deep/b.png")
    monkeypatch.chdir(root)
    given = [root / "a.png", Path("a.png"), root, root / "a.png", root, Path("deep/../a.png")]
    jobs = list(find_jobs(given, root / "out"))
    assert [job.picture for job in jobs] == [root / "a.png", root / "deep/b.png"]


def test_a_file_and_a_picture_of_a_folder_of_one_name(touch) -> None:
    root = touch("in/a.png", "in/b.png", "a.jpg")
    assert set(places([root / "a.jpg", root / "in"], root / "out")) == {"a.jpg", "b.png"}
    assert "is the copy of" in without([root / "a.jpg", root / "in"], root / "out")["a.png"]


def test_a_given_file_is_not_overwritten_by_a_picture_of_a_folder(touch) -> None:
    root = touch("in/a.png", "in/a-purified.png")
    found = without([root / "in/a-purified.png", root / "in"], root / "in")
    assert "would overwrite" in found["a.png"]


def test_links_to_folders_are_not_followed_and_named(touch) -> None:
    root = touch("a.png")
    (root / "again").symlink_to(root)
    assert places([root], root / "out") == {"a.png": "a-purified.png"}
    assert "is a link to a folder" in without([root], root / "out")["again"]


def test_folders_called_like_pictures_are_folders(touch) -> None:
    root = touch("x.png/a.png")
    assert places([root], root / "out") == {"a.png": "x.png/a-purified.png"}


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_refused(touch) -> None:
    root = touch("a/x.png", "b/x.png")
    (root / "a").chmod(0)
    try:
        assert set(places([root], root / "out").values()) == {"b/x-purified.png"}
        assert "Permission denied" in without([root], root / "out")["a"]
    finally:
        (root / "a").chmod(0o700)


def test_a_folder_that_cannot_be_read_is_refused(touch, monkeypatch) -> None:
    """As above, for whoever runs the tests as root."""
    root = touch("a/x.png", "b/x.png")
    scan = os.scandir

    def scandir(place):
        if Path(place).name == "a":
            raise PermissionError(13, "Permission denied", str(place))
        return scan(place)

    monkeypatch.setattr(os, "scandir", scandir)
    assert set(places([root], root / "out").values()) == {"b/x-purified.png"}
    assert "Permission denied" in without([root], root / "out")["a"]


def test_a_folder_that_goes_meanwhile_is_passed_over(touch) -> None:
    root = touch("a/x.png", "b/x.png")
    jobs = find_jobs([root], root / "out")
    assert next(jobs).picture == root / "a/x.png"
    (root / "b/x.png").unlink()
    (root / "b").rmdir()
    assert not list(jobs)

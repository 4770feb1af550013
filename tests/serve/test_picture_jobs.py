"""Which pictures are purified, and where their copies go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from alp.errors import ConfigError
from alp.serve.pictures import find_jobs


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
    return {
        job.picture.name: job.target.relative_to(out).as_posix() for job in find_jobs(given, out)
    }


def test_a_folder_given_as_out_does_not_purify_its_own_copies(touch) -> None:
    root = touch("a.png", "a-purified.png", "b/C-PURIFIED.PNG", "b/c.webp", "b/d.gif")
    assert places([root], root) == {"a.png": "a-purified.png", "c.webp": "b/c-purified.png"}


def test_two_pictures_of_one_name_in_one_folder(touch) -> None:
    root = touch("deep/a.png", "deep/a.JPG")
    with pytest.raises(ConfigError, match=r"a\.JPG and .*a\.png would both become"):
        places([root], root / "out")


def test_one_name_in_two_folders_is_none_of_ours(touch) -> None:
    root = touch("x/a.png", "y/a.jpg")
    assert set(places([root], root / "out").values()) == {"x/a-purified.png", "y/a-purified.png"}


def test_two_folders_of_one_name(touch) -> None:
    root = touch("x/in/a.png", "y/in/b.png")
    with pytest.raises(ConfigError, match="would both be purified into"):
        places([root / "x/in", root / "y/in"], root / "out")


def test_a_picture_given_twice_is_purified_once(touch) -> None:
    root = touch("a.png")
    jobs = list(find_jobs([root / "a.png", root, root / "a.png", root], root / "out"))
    assert [job.picture for job in jobs] == [root / "a.png"]


def test_a_file_and_a_picture_of_a_folder_of_one_name(touch) -> None:
    root = touch("in/a.png", "a.jpg")
    with pytest.raises(ConfigError, match="would both become"):
        places([root / "a.jpg", root / "in"], root / "out")


def test_a_given_file_is_not_overwritten_by_a_picture_of_a_folder(touch) -> None:
    root = touch("in/a.png", "in/a-purified.png")
    with pytest.raises(ConfigError, match="would be overwritten"):
        places([root / "in/a-purified.png", root / "in"], root / "in")


def test_links_to_folders_are_not_followed(touch) -> None:
    root = touch("a.png")
    (root / "again").symlink_to(root)
    assert places([root], root / "out") == {"a.png": "a-purified.png"}

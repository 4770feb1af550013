"""What is to be purified in folders that change."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alp.data.picture import Picture
from alp.serve.copies import stamp_of, write_copy
from alp.serve.purifying import Outcome
from alp.serve.watch import Watch

RECIPE = "recipe"
PIXELS = np.zeros((2, 2, 3), np.uint8)


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture that has been there for a while."""
    path = tmp_path / "in" / "a.png"
    path.parent.mkdir()
    path.touch()
    age(path, 100)
    return path


@pytest.fixture
def watch(picture: Path, tmp_path: Path) -> Watch:
    return Watch([picture.parent], tmp_path / "out", RECIPE)


def finish(watch: Watch, refused: str | None = None) -> list[str]:
    """Purify what there is, or refuse it; the names of what there was."""
    names = []
    for job in watch.sweep():
        names.append(job.picture.name)
        outcome = Outcome(job, refused=job.refused)
        if not job.refused and not job.skipped:
            stamp, modified_ns = stamp_of(job.picture, RECIPE)
            outcome = Outcome(job, stamp, refused)
            if not refused:
                write_copy(job.target, Picture(PIXELS), stamp, modified_ns)
        watch.remember(outcome)
    return names


def test_a_picture_is_purified_once_until_it_changes(watch, picture) -> None:
    for seconds in (100, 50, 60):  # newer, then replaced by an older one
        age(picture, seconds)
        assert finish(watch) == ["a.png"]
        assert not finish(watch)


def test_another_watch_goes_on_where_one_has_ended(watch, picture, tmp_path) -> None:
    finish(watch)
    assert not finish(Watch([picture.parent], tmp_path / "out", RECIPE))


def test_another_recipe_makes_the_copy_again(watch, picture, tmp_path) -> None:
    finish(watch)
    assert list(Watch([picture.parent], tmp_path / "out", "another").sweep())


def test_another_picture_of_the_same_time_makes_the_copy_again(watch, picture) -> None:
    at = picture.stat().st_mtime
    finish(watch)
    picture.write_bytes(b"longer")
    os.utime(picture, (at, at))
    assert finish(watch) == ["a.png"]
    picture.rename(picture.with_suffix(".jpg"))  # the same name of the copy
    assert finish(watch) == ["a.jpg"]


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(200)])
def test_what_stands_in_the_copys_place_is_no_copy(watch, picture, tmp_path, content) -> None:
    finish(watch)
    copy = tmp_path / "out" / "a-purified.png"
    at = copy.stat().st_mtime
    copy.write_bytes(content)
    os.utime(copy, (at, at))
    assert finish(watch) == ["a.png"]


def test_a_picture_that_may_still_be_written_is_left_alone(watch, picture) -> None:
    age(picture, 0.5)
    assert not finish(watch)


def test_a_time_in_the_future_does_not_matter(watch, picture) -> None:
    age(picture, -1000)
    assert finish(watch) == ["a.png"]
    assert not finish(watch)


def test_what_is_refused_is_tried_again_when_it_changes(watch, picture) -> None:
    finish(watch, refused="no picture")
    assert watch.refused == 1
    assert not finish(watch)
    age(picture, 50)
    assert finish(watch) == ["a.png"]
    assert watch.refused == 0


def test_a_refused_picture_that_has_gone_is_forgotten(watch, picture) -> None:
    finish(watch, refused="no picture")
    picture.unlink()
    assert not finish(watch)
    assert watch.refused == 0


def test_a_link_to_nothing_is_tried_once(watch, picture) -> None:
    (picture.parent / "b.png").symlink_to("nothing")
    (picture.parent / "c.png").symlink_to("c.png")
    found = list(watch.sweep())
    assert [job.picture.name for job in found] == ["a.png", "b.png", "c.png"]
    for job in found[1:]:
        watch.remember(replace(Outcome(job), refused="it does not exist"))
    assert watch.refused == 2
    assert finish(watch) == ["a.png"]
    assert not finish(watch)


def test_what_is_skipped_is_named_once_and_not_counted(watch, picture) -> None:
    (picture.parent / "notes.txt").touch()
    assert finish(watch) == ["a.png", "notes.txt"]
    assert not finish(watch)
    assert watch.refused == 0


def test_the_second_of_two_pictures_of_one_name_is_refused_while_the_first_is_there(
    watch, picture
) -> None:
    other = picture.with_suffix(".tif")
    other.touch()
    age(other, 100)
    assert finish(watch) == ["a.png", "a.tif"]
    assert watch.refused == 1
    assert not finish(watch)
    picture.unlink()
    assert finish(watch) == ["a.tif"]
    assert watch.refused == 0

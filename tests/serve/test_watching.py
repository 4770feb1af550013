"""What is to be purified in folders that change."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from alp.serve.pictures import Outcome, Watch, modified_ns


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
    return Watch([picture.parent], tmp_path / "out")


def finish(watch: Watch, **options: str) -> None:
    """Purify what there is."""
    for job in watch.sweep():
        if not options:
            job.target.parent.mkdir(exist_ok=True)
            job.target.touch()
            os.utime(job.target, ns=(modified_ns(job.picture),) * 2)
        watch.remember(replace(Outcome(job, modified_ns(job.picture)), **options))


def test_a_picture_is_purified_once_until_it_changes(watch, picture) -> None:
    for seconds in (100, 50, 60):  # newer, then replaced by an older one
        age(picture, seconds)
        assert [job.picture for job in watch.sweep()] == [picture]
        finish(watch)
        assert not list(watch.sweep())


def test_another_watch_goes_on_where_one_has_ended(watch, picture, tmp_path) -> None:
    finish(watch)
    assert not list(Watch([picture.parent], tmp_path / "out").sweep())


def test_a_picture_that_may_still_be_written_is_left_alone(watch, picture) -> None:
    age(picture, 0.5)
    assert not list(watch.sweep())


def test_a_time_in_the_future_does_not_matter(watch, picture) -> None:
    age(picture, -1000)
    finish(watch)
    assert not list(watch.sweep())
    assert (picture.parent.parent / "out" / "a-purified.png").exists()


def test_what_is_refused_is_tried_again_when_it_changes(watch, picture) -> None:
    finish(watch, refused="no picture")
    assert watch.refused == 1
    assert not list(watch.sweep())
    age(picture, 50)
    assert list(watch.sweep())
    finish(watch)
    assert watch.refused == 0


def test_a_refused_picture_that_has_gone_is_forgotten(watch, picture) -> None:
    finish(watch, refused="no picture")
    picture.unlink()
    assert not list(watch.sweep())
    assert watch.refused == 0

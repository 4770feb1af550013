"""Streams of pictures: every picture once, of its own size, and alike whatever is beside it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alp.data.decode import decode_one
from alp.data.picture import Picture
from alp.serve import purifying
from alp.serve.jobs import Job
from alp.serve.purifying import Outcome, PicturePurifier, batched


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    """40 pictures of three sizes, and one that is none."""
    random = np.random.default_rng(0)
    made = []
    for number in range(40):
        picture = tmp_path / f"{number}.png"
        shape = ((8, 8), (8, 12), (40, 8))[number % 3]
        Image.fromarray(random.integers(0, 255, (*shape, 3), np.uint8)).save(picture)
        os.utime(picture, (number, number))
        made.append(Job(picture, tmp_path / "out" / f"{number}.png"))
    made[7].picture.write_text("hello")
    return made


def test_every_picture_once(new_purifier, jobs) -> None:
    outcomes = {each.job: each for each in PicturePurifier(new_purifier())(jobs)}
    assert set(outcomes) == set(jobs)
    for number, job in enumerate(jobs):
        if number == 7:
            assert "is not a readable picture" in outcomes[job].refused
            assert not job.target.exists()
            continue
        x, purified = (decode_one(path, "x") / 255 for path in (job.picture, job.target))
        assert purified.shape == x.shape
        assert outcomes[job].psnr == pytest.approx(
            -10 * np.log10(((x - purified) ** 2).mean()), abs=0.1
        )
        assert job.target.stat().st_mtime == number


def test_a_seed_makes_copies_depend_on_nothing_else(new_purifier, jobs, tmp_path) -> None:
    purifier = new_purifier()
    list(PicturePurifier(purifier, seed=1, threads=3)(jobs))
    together = jobs[4].target.read_bytes()
    list(PicturePurifier(purifier, seed=1, threads=1)([jobs[4]]))
    assert jobs[4].target.read_bytes() == together
    list(PicturePurifier(purifier, seed=2)([jobs[4]]))
    assert jobs[4].target.read_bytes() != together


def test_without_a_seed_pictures_purified_together_meet_noise_of_their_own(
    new_purifier, jobs
) -> None:
    same = jobs[:9:3]
    for job in same:
        job.picture.write_bytes(jobs[0].picture.read_bytes())
    list(PicturePurifier(new_purifier())(same))
    assert len({job.target.read_bytes() for job in same}) == 3


def test_pictures_are_turned_as_exif_says(new_purifier, tmp_path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to the right
    Image.new("RGB", (8, 20)).save(tmp_path / "a.jpg", exif=exif)
    job = Job(tmp_path / "a.jpg", tmp_path / "out.png")
    list(PicturePurifier(new_purifier())([job]))
    with Image.open(job.target) as image:
        assert image.size == (20, 8)


def test_batches_are_of_one_size_full_and_bounded(monkeypatch) -> None:
    monkeypatch.setattr(purifying, "HELD", 300)

    def picture(side: int) -> purifying._Item:
        pixels = np.zeros((side, side, 3), np.uint8)
        return purifying._Item(Outcome(None), picture=Picture(pixels))

    random = np.random.default_rng(0)
    read = 0

    def source():
        nonlocal read
        for side in [*random.integers(2, 9, 500), 50]:
            read += side**2
            yield picture(side)

    given = 0
    for batch in batched(source(), 100):
        (size,) = {each.picture.pixels.shape for each in batch}
        given += len(batch) * size[0] * size[1]
        assert len(batch) == 1 or len(batch) * size[0] * size[1] <= 100
        assert read - given <= 300 + 50**2
    assert read == given

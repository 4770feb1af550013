"""``alp purify``."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from alp import load, save

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of several formats and sizes, and what is none."""
    random = np.random.default_rng(0)
    folder = tmp_path / "in"
    folder.mkdir()
    for name, shape in (("a.png", (37, 50, 3)), ("b.jpg", (16, 16, 3)), ("one.bmp", (1, 1))):
        Image.fromarray(random.integers(0, 255, shape, dtype=np.uint8)).save(folder / name)
    (folder / "text.png").write_text("hello")
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:500])
    return folder


@pytest.mark.parametrize("kind", ["purifier", "defended"])
def test_copies_of_the_same_size(alp, weights, folder: Path, tmp_path: Path, kind: str) -> None:
    given = [folder / name for name in ("a.png", "b.jpg", "one.bmp")]
    before = [path.read_bytes() for path in given]
    out = tmp_path / "out"
    told = alp("purify", *given, "--purifier", getattr(weights, kind), "--out", out)
    assert told.status == 0
    assert {path.name for path in out.iterdir()} == {
        f"{name}-purified.png" for name in ("a", "b", "one")
    }
    for path in given:
        with Image.open(path) as picture, Image.open(out / f"{path.stem}-purified.png") as purified:
            assert purified.size == picture.size
            assert purified.format == "PNG"
    assert [path.read_bytes() for path in given] == before
    assert str(out / "a-purified.png") in told.out


def test_what_is_no_picture_is_named_and_the_others_are_written(alp, weights, folder, tmp_path):
    out = tmp_path / "out"
    names = ("text.png", "a.png", "missing.png", "cut.png", "b.jpg")
    given = [folder / name for name in names]
    told = alp("purify", *given, "--purifier", weights.purifier, "--out", out)
    assert told.status == 1
    errors = [line for line in told.err.splitlines() if line.startswith("alp: error: ")]
    assert "3 of 5 pictures were refused" in errors[-1]
    for bad in (folder / "text.png", folder / "missing.png", folder / "cut.png"):
        assert sum(f"error: {bad} " in line for line in errors) == 1, bad
    assert {path.name for path in out.iterdir()} == {"a-purified.png", "b-purified.png"}


def test_seeds(alp, weights, folder: Path, tmp_path: Path) -> None:
    def purified(name: str, *options: object) -> bytes:
        line = ("purify", folder / "b.jpg", *options, "--purifier", weights.purifier)
        assert alp(*line, "--out", tmp_path / name).status == 0
        return (tmp_path / name / "b-purified.png").read_bytes()

    seeded = purified("1", "--seed", 1)
    assert purified("2", folder / "a.png", "--seed", 1) == seeded
    assert purified("3", "--seed", 2) != seeded
    assert purified("4") != purified("5")


def test_json(alp, weights, folder: Path, tmp_path: Path) -> None:
    line = ("purify", folder / "a.png", folder / "text.png", "--purifier", weights.purifier)
    told = alp(*line, "--out", tmp_path / "out", "--json")
    assert told.status == 1
    result = json.loads(told.out)
    (written,) = result["written"]
    assert written["out"] == str(tmp_path / "out" / "a-purified.png")
    assert 3 < written["psnr"] < 60
    (refused,) = result["refused"]
    assert refused["picture"] == str(folder / "text.png")
    assert "is not a readable picture" in refused["reason"]
    assert result["skipped"] == []


def test_inputs_are_never_overwritten(alp, weights, folder: Path) -> None:
    other = folder / "a-purified.png"
    other.write_bytes((folder / "b.jpg").read_bytes())
    line = ("purify", folder / "a.png", other, "--purifier", weights.purifier, "--out", folder)
    told = alp(*line)
    assert told.status == 1
    assert "would overwrite" in told.err
    assert other.read_bytes() == (folder / "b.jpg").read_bytes()


def test_two_pictures_of_one_name(alp, weights, folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(folder / "a.bmp")
    line = ("purify", folder / "a.png", folder / "a.bmp", "--purifier", weights.purifier)
    told = alp(*line, "--out", tmp_path / "out")
    assert told.status == 1
    assert f"{folder / 'a.bmp'} would become" in told.err
    with Image.open(tmp_path / "out" / "a-purified.png") as copy:
        assert copy.size == (50, 37)


def test_a_classifier_cannot_purify(alp, weights, folder: Path, tmp_path: Path) -> None:
    line = ("purify", folder / "a.png", "--purifier", weights.classifier, "--out", tmp_path / "o")
    told = alp(*line)
    assert told.status == 1
    assert "which has no purifier" in told.err


def test_a_folder_keeps_its_places(alp, weights, folder: Path, tmp_path: Path) -> None:
    deep = folder / "deep" / "er"
    deep.mkdir(parents=True)
    for name in ("a.JPG", ".hidden.png", "old-purified.png", "notes.txt"):
        Image.new("RGB", (8, 12)).save(deep / name, "PNG")
    told = alp("purify", folder, "--purifier", weights.purifier, "--out", tmp_path / "out")
    assert told.status == 1
    assert "2 of 6 pictures were refused" in told.err
    assert "alp: skipped: " in told.err
    assert "notes.txt is of the kind .txt" in told.err
    assert "old-purified.png is called as a purified copy" in told.err
    assert ".hidden" not in told.err
    written = {
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png")
    }
    copies = {f"{name}-purified.png" for name in ("a", "b", "one", "deep/er/a")}
    assert written == copies


def test_several_folders_are_kept_apart(alp, weights, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    Image.new("RGB", (8, 8)).save(other / "a.png")
    line = ("purify", folder, other, "--purifier", weights.purifier, "--out", tmp_path / "out")
    assert alp(*line).status == 1
    assert (tmp_path / "out" / "in" / "a-purified.png").is_file()
    assert (tmp_path / "out" / "other" / "a-purified.png").is_file()


def test_an_empty_folder_is_an_error(alp, weights, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    line = ("purify", tmp_path / "empty", "--purifier", weights.purifier, "--out", tmp_path / "o")
    told = alp(*line)
    assert told.status == 1
    assert "holds no picture" in told.err


def test_only_folders_are_watched(alp, weights, folder: Path, tmp_path: Path) -> None:
    line = ("purify", folder / "a.png", "--watch", "--purifier", weights.purifier)
    told = alp(*line, "--out", tmp_path / "out")
    assert told.status == 1
    assert "is no folder; give folders to watch" in told.err


def test_watching_goes_on_until_interrupted(alp, weights, folder, tmp_path, monkeypatch) -> None:
    """The first pause brings a picture and repairs another, the second one changes nothing, the
    third is interrupted."""
    pauses = []

    def pause(seconds: float) -> None:
        pauses.append({path.name for path in (tmp_path / "out").iterdir()})
        if len(pauses) == 1:
            Image.new("RGB", (8, 8)).save(folder / "new.png")
            os.utime(folder / "new.png", (1, 1))
            Image.new("RGB", (8, 8)).save(folder / "cut.png")
            os.utime(folder / "cut.png", (1, 1))
        elif len(pauses) == 3:
            raise KeyboardInterrupt

    for path in folder.iterdir():
        os.utime(path, (1000, 1000))
    monkeypatch.setattr("alp.cli.purify.time.sleep", pause)
    line = ("purify", folder, "--watch", "--purifier", weights.purifier, "--json")
    told = alp(*line, "--out", tmp_path / "out")
    assert told.status == 1
    assert "1 of 7 pictures were refused" in told.err
    first = {f"{name}-purified.png" for name in ("a", "b", "one")}
    more = {"new-purified.png", "cut-purified.png"}
    assert pauses == [first, first | more, first | more]
    assert len(json.loads(told.out)["written"]) == 5


def test_another_purifier_or_seed_makes_watched_copies_again(
    alp, weights, folder, tmp_path, monkeypatch
) -> None:
    def pause(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("alp.cli.purify.time.sleep", pause)
    for name in ("text.png", "cut.png"):
        (folder / name).unlink()
    for path in folder.iterdir():
        os.utime(path, (1000, 1000))

    def made(purifier: Path, *options: object) -> int:
        line = ("purify", folder, "--watch", "--purifier", purifier, "--json", *options)
        return len(json.loads(alp(*line, "--out", tmp_path / "out").out)["written"])

    assert made(weights.purifier) == 3
    assert made(weights.purifier) == 0
    assert made(weights.purifier, "--seed", 1) == 3
    assert made(weights.purifier, "--seed", 1) == 0
    assert made(weights.purifier, "--seed", 2) == 3
    other = tmp_path / "other.safetensors"
    model = load(weights.purifier)
    with torch.no_grad():
        model.noise.rho += 0.1
    save(model, other)
    assert made(other, "--seed", 2) == 3
    assert made(other, "--seed", 2) == 0


def test_what_a_copy_lacks_is_said(alp, weights, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], comment=b"x")
    line = ("purify", tmp_path / "a.gif", "--purifier", weights.purifier, "--out", tmp_path / "o")
    (shown,) = alp(*line).out.splitlines()
    assert shown.endswith(" dB  lost: all but the first of its frames or pages  dropped: texts")
    (written,) = json.loads(alp(*line, "--json").out)["written"]
    assert written["lost"] == ["all but the first of its frames or pages"]
    assert written["dropped"] == ["texts"]


@pytest.mark.parametrize("as_json", [False, True])
def test_no_name_steers_the_terminal_or_breaks_a_line(alp, weights, tmp_path, as_json) -> None:
    names = [b"esc\x1b[31m.png", b"line\nbreak.png", b"del\x7f.png", b"csi\xc2\x9b2J.png"]
    names += [b"turn\xe2\x80\xae.png", b"latin\xe9.png", b"tab\t.heic", b"bad\x1b]0;x\x07.png"]
    folder = tmp_path / "in"
    folder.mkdir()
    for name in map(os.fsdecode, names):
        Image.new("RGB", (4, 4)).save(folder / "x.png")
        (folder / "x.png").rename(folder / name)
    (folder / os.fsdecode(names[-1])).write_text("no picture")
    line = ("purify", folder, "--purifier", weights.purifier, "--out", tmp_path / "out")
    told = alp(*line, *["--json"] * as_json)
    assert told.status == 1
    assert all(each.isprintable() or each == "\n" for each in told.out + told.err)
    assert len(told.err.splitlines()) == 4  # refused, skipped, the progress at the end, the error
    if as_json:
        result = json.loads(told.out)
        pictures = [each["picture"] for key in result for each in result[key]]
        assert sorted(Path(each).name for each in pictures) == sorted(map(os.fsdecode, names))
    else:
        assert len(told.out.splitlines()) == 6
    assert len(list((tmp_path / "out").iterdir())) == 6


@pytest.mark.timeout(60)
def test_no_entry_stops_the_others(alp, weights, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    os.mkfifo(folder / "fifo.png")
    (folder / "link.png").symlink_to("nothing")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "again").symlink_to(folder)
    (folder / "empty.png").touch()
    (folder / "folder.png").mkdir()
    names = ["a" * 242, "b" * 251]
    for name in names:
        Image.new("RGB", (4, 4)).save(folder / "x.png")
        (folder / "x.png").rename(folder / f"{name}.png")
    Image.new("RGB", (4, 4)).save(folder / "a.tif")
    Image.new("RGB", (4, 4)).save(folder / "taken.gif")
    (out / "taken-purified.png").mkdir(parents=True)
    told = alp("purify", folder, "--purifier", weights.purifier, "--out", out, "--json")
    assert told.status == 1
    assert "Traceback" not in told.err
    result = json.loads(told.out)
    reasons = {Path(each["picture"]).name: each["reason"] for each in result["refused"]}
    for name, reason in {
        "fifo.png": "is a FIFO",
        "link.png": "does not exist",
        "loop.png": "cannot be read",
        "empty.png": "unknown format",
        "text.png": "unknown format",
        "cut.png": "not a readable picture",
        f"{names[1]}.png": "File name too long",
        "a.tif": "which is the copy of",
        "taken.gif": "cannot be written",
    }.items():
        assert reason in reasons.pop(name)
    assert not reasons
    assert [Path(each["picture"]).name for each in result["skipped"]] == ["again"]
    assert {Path(each["picture"]).name for each in result["written"]} == {
        "a.png", "b.jpg", "one.bmp", f"{names[0]}.png"
    }  # fmt: skip
    assert not list(out.rglob(".*"))


def test_speed_counts_from_the_start(alp, weights, folder, tmp_path, monkeypatch) -> None:
    shown = []

    @contextmanager
    def progress():
        yield lambda what, done, total: shown.append((done, total))

    monkeypatch.setattr("alp.cli.console.progress", progress)
    given = [folder / name for name in ("a.png", "b.jpg")]
    alp("purify", *given, "--purifier", weights.purifier, "--out", tmp_path / "out")
    assert shown == [(0, 2), (1, 2), (2, 2)]


@pytest.mark.parametrize(
    "closed", [">&-", "2>&-", ">&- 2>&- <&-", ">/dev/full", "| true", "2>&1 | true"]
)
def test_a_closed_stream_costs_no_copy(weights, folder: Path, tmp_path: Path, closed) -> None:
    line = [sys.executable, "-m", "alp", "purify", folder / "a.png", folder / "b.jpg"]
    line += ["--purifier", weights.purifier, "--out", tmp_path / "out"]
    command = f"{shlex.join(map(str, line))} {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "a-purified.png", "b-purified.png"
    }  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.returncode == ("full" in closed)

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alp.data.cache import cache_folder, cached, file_key
from alp.data.images import Images


class Builder:
    """Builds two splits and counts how often it has to."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> dict[str, Images]:
        self.calls += 1
        images = torch.arange(60, dtype=torch.uint8).reshape(5, 3, 2, 2)
        labels = torch.arange(5)
        return {
            split: Images.of(images + bump, labels, "abcde", "toy", split)
            for split, bump in [("train", 0), ("validation", 100)]
        }


def same(a: Images, b: Images) -> bool:
    return (
        torch.equal(a.images, b.images)
        and torch.equal(a.labels, b.labels)
        and (a.classes, a.name, a.split, a.digest) == (b.classes, b.name, b.split, b.digest)
    )


def files() -> list[Path]:
    return sorted(path for path in cache_folder().rglob("*") if path.is_file())


def test_what_was_built_once_is_read() -> None:
    build = Builder()
    first = cached("toy", "key", "train", build)
    assert same(cached("toy", "key", "train", build), first)
    assert same(cached("toy", "key", "validation", build), build()["validation"])
    assert build.calls == 2  # the second call is this test's own
    assert [path.name for path in files()] == ["train.safetensors", "validation.safetensors"]


def test_another_key_is_another_entry() -> None:
    build = Builder()
    for key in ("key", "another", "key" + "x" * 200, "key" + "x" * 200 + "y"):
        cached("toy", key, "train", build)
    assert build.calls == 4


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_built_again(data: st.DataObject) -> None:
    build = Builder()
    good = cached("toy", "key", "train", build)
    (path,) = [path for path in files() if path.name == "train.safetensors"]
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans(), "truncate"):
        content = content[: data.draw(st.integers(0, len(content) - 1), "length")]
    else:
        position = data.draw(st.integers(0, len(content) - 1), "position")
        content[position] ^= 1 << data.draw(st.integers(0, 7), "bit")
    path.write_bytes(content)
    assert same(cached("toy", "key", "train", build), good)
    before = build.calls
    assert same(cached("toy", "key", "train", build), good)
    assert build.calls == before


def test_pixels_that_were_changed_are_not_trusted() -> None:
    build = Builder()
    good = cached("toy", "key", "train", build)
    (path,) = [path for path in files() if path.name == "train.safetensors"]
    content = path.read_bytes()
    position = content.index(bytes(range(60)))
    path.write_bytes(content[:position] + b"\xff" + content[position + 1 :])
    assert same(cached("toy", "key", "train", build), good)
    assert build.calls == 2


def test_a_folder_that_cannot_be_written_costs_the_cache_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where the folder should be")
    monkeypatch.setenv("ALP_CACHE", str(blocked))
    build = Builder()
    with pytest.warns(UserWarning, match=r"cannot write the data cache .*Set ALP_CACHE"):
        assert same(cached("toy", "key", "train", build), build()["train"])


def test_no_temporary_file_stays_behind() -> None:
    cached("toy", "key", "train", Builder())
    assert not [path for path in files() if path.suffix == ".tmp"]


def test_without_the_setting_the_cache_is_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALP_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "alp"


def test_the_key_of_files_depends_on_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    a, b = tmp_path / "a", tmp_path / "b"
    keys = {
        file_key({"a": a, "b": b}),
        file_key({"a": b, "b": a}),
        file_key({"a": a}),
        file_key({"c": a, "b": b}),
    }
    assert len(keys) == 4
    before = file_key({"a": a})
    a.write_bytes(b"3")
    assert file_key({"a": a}) != before

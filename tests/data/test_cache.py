from __future__ import annotations

import os
import subprocess
import sys
import textwrap
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


def test_no_folder_is_private_to_its_owner(own_cache: Path) -> None:
    """The user's mask decides about the rights of files, as everywhere."""
    usual = own_cache / "usual"
    usual.touch()
    cached("toy", "key", "train", Builder())
    assert {path.stat().st_mode for path in files()} == {usual.stat().st_mode}


def test_without_a_home_folder_there_is_no_cache_but_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALP_CACHE", "~nobody-of-this-name/cache")
    build = Builder()
    with pytest.warns(UserWarning, match=r"no data cache .*set HOME, or ALP_CACHE"):
        assert same(cached("toy", "key", "train", build), build()["train"])


@pytest.mark.skipif(os.name != "posix", reason="limits of processes are POSIX")
def test_a_full_disk_costs_the_cache_only(own_cache: Path) -> None:
    code = """
        import resource, torch
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        from alp.data.cache import cached
        from alp.data.images import Images
        images = torch.zeros(500, 3, 4, 4, dtype=torch.uint8)
        data = Images.of(images, torch.zeros(500, dtype=torch.long), "a", "toy", "train")
        print(len(cached("toy", "key", "train", lambda: {"train": data})))
        """
    line = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120)
    assert done.stdout == "500\n", done.stderr
    assert "cannot write the data cache" in done.stderr
    assert files() == []


@pytest.mark.parametrize("name", ["x" * 255, "a/b", "..", "\udcff", "new\nline", "\u4e2d" * 80, ""])
def test_data_of_any_name_is_cached(name: str, own_cache: Path) -> None:
    build = Builder()
    for _ in range(2):
        cached(name, "key", "train", build)
    assert build.calls == 1
    assert all(path.parent.parent == own_cache for path in files())

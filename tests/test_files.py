"""Files are whole or not there."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alp.errors import CheckpointError, RecordError
from alp.files import read_json, write_atomically, write_json

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(value=st.dictionaries(st.text(), json_values, max_size=4))
def test_json_comes_back(tmp_path_factory: pytest.TempPathFactory, value: dict) -> None:
    path = tmp_path_factory.mktemp("json") / "new folder" / "value.json"
    write_json(path, value)
    assert read_json(path, RecordError) == value
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def half(temporary: Path) -> None:
        temporary.write_text("ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, half)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_target_is_replaced_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_text("old")

    def write(temporary: Path) -> None:
        assert temporary.parent == path.parent  # a rename across file systems is no rename
        assert temporary.suffix == path.suffix
        temporary.write_text("new")
        assert path.read_text() == "old"
        written.append(temporary.stat().st_ino)

    written: list[int] = []
    write_atomically(path, write)
    assert path.read_text() == "new"
    assert [path.stat().st_ino] == written  # renamed, and not copied


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_the_mode_follows_the_users_mask_whatever_the_writer_does(tmp_path: Path) -> None:
    def private(temporary: Path) -> None:
        temporary.write_text("x")
        temporary.chmod(0o600)

    usual = tmp_path / "usual"
    usual.touch()
    write_atomically(tmp_path / "file", private)
    assert (tmp_path / "file").stat().st_mode == usual.stat().st_mode


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"3", b"null", b'"x"', b"\xff\xfe{}"])
def test_what_is_no_object_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "value.json"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"value\.json"):
        read_json(path, CheckpointError)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"nothing\.json"):
        read_json(tmp_path / "nothing.json", RecordError)


@given(st.binary(max_size=30))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("bytes") / "value.json"
    path.write_bytes(content)
    with contextlib.suppress(RecordError):
        assert isinstance(read_json(path, RecordError), dict)

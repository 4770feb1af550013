"""Files are whole or not there."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from alp.errors import CheckpointError, ConfigError, OutputError, RecordError
from alp.files import (
    CONFIG_LIMIT,
    JSON_LIMIT,
    expanded,
    file_inside,
    read_json,
    require_plain_config,
    require_shape,
    require_writable,
    write_atomically,
    write_json,
)

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


def limited(size: int, code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run ``code`` where files cannot grow beyond ``size`` bytes, as on a full disk."""
    start = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
    line = [sys.executable, "-c", start + textwrap.dedent(code), str(folder)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120)


@pytest.mark.skipif(os.name != "posix", reason="limits of processes are POSIX")
def test_a_full_disk_is_an_error_and_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"old": 1})
    done = limited(
        1000,
        """
        import sys
        from pathlib import Path
        from alp.errors import AlpError
        from alp.files import require_writable, write_json
        folder = Path(sys.argv[1])
        for work in (lambda: write_json(folder / "a.json", {"new": "x" * 5000}),
                     lambda: require_writable(folder)):
            try:
                work()
            except AlpError as error:
                print(error)
        """,
        tmp_path,
    )
    assert done.stdout.count("cannot be written (File too large)") == 2, done.stderr
    assert read_json(tmp_path / "a.json", RecordError) == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_probing_leaves_nothing_behind(tmp_path: Path) -> None:
    require_writable(tmp_path / "new" / "newer", "weights.safetensors")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    require_writable(tmp_path / "kept" / "new")
    require_writable(tmp_path / "kept", "file")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["file"]


@pytest.mark.parametrize(
    "place", ["file", "file/below", "a" * 300, "nul\0", "x/" * 3000, "taken", "link"]
)
def test_what_cannot_be_written_is_found_by_probing(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("a file where the folder should be")
    (tmp_path / "taken" / "weights").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "link")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match="choose another place"):
        require_writable(tmp_path / place, "weights")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_without_the_right_to_write_is_found(tmp_path: Path) -> None:
    """The superuser may write everywhere but here."""
    place = Path("/proc") if os.geteuid() == 0 else tmp_path
    if place == tmp_path:
        tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match=r"cannot be written \("):
        require_writable(place / "new")
    with pytest.raises(OutputError, match=r"cannot be written \("):
        write_json(place / "new" / "a.json", {})
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("name", ["~nobody-of-this-name/x", "~"])
def test_an_unknown_home_is_an_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    if name == "~":  # an account without HOME and without an entry in the system's list
        monkeypatch.setattr(Path, "expanduser", unknown)
    with pytest.raises(ConfigError, match="set HOME"):
        expanded(name)


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b"1" * 5000])
def test_json_that_is_deep_or_long_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(RecordError, match="cannot be read"):
        read_json(tmp_path / "a.json", RecordError)


def test_what_is_no_plain_file_is_not_read_as_json(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")  # to open it would wait for ever
    with (tmp_path / "large").open("wb") as file:
        file.truncate(JSON_LIMIT + 1)
    for name in ("fifo", "large", "."):
        with pytest.raises(RecordError, match="cannot be read"):
            read_json(tmp_path / name, RecordError)


@given(value=json_values)
def test_json_has_the_shape_that_is_asked_for_or_is_refused(value: object) -> None:
    shape = {"name": str, "rows": {"*": {"draws": int}}, "sizes": [int]}
    with contextlib.suppress(RecordError):
        require_shape(value, shape, "file", RecordError, "make it again")
        assert isinstance(value, dict)
        assert isinstance(value["name"], str)
        assert all(isinstance(row["draws"], int) for row in value["rows"].values())
        assert all(isinstance(size, int) for size in value["sizes"])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "file is '\\[\\]', which is not an object"),
        ({}, "file has no 'rows'"),
        ({"rows": {"a": {}}}, "file: rows: a has no 'draws'"),
        ({"rows": {"a": {"draws": True}}}, "draws is 'True', which is not of type int"),
        ({"rows": {"a": {"draws": 1}}, "sizes": [1, "x"]}, "file: sizes: 1 is 'x'"),
    ],
)
def test_what_a_file_lacks_is_named(value: object, said: str) -> None:
    shape = {"rows": {"*": {"draws": int}}, "sizes": [int]}
    with pytest.raises(RecordError, match=rf"{said}.*; make it again"):
        require_shape(value, shape, "file", RecordError, "make it again")


def test_a_value_of_the_right_shape_is_taken() -> None:
    shape = {"rows": {"*": {"draws": int}}, "sizes": [(int, float)]}
    require_shape(
        {"rows": {"a": {"draws": 1, "more": 2}}, "sizes": [1, 2.5]}, shape, "", RecordError, ""
    )


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/b", "..", ".", "", "a\\b", "a\0", "out", "missing", "below"]
)
def test_a_described_file_has_to_lie_in_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "x").touch()
    folder = tmp_path / "package"
    (folder / "below").mkdir(parents=True)
    (folder / "out").symlink_to(tmp_path / "x")
    with pytest.raises(CheckpointError, match=r"repair it|put the file itself"):
        file_inside(folder, name, CheckpointError, "repair it")


def test_a_file_in_the_folder_is_found_through_links(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "same").symlink_to("file")
    (tmp_path / "folder").symlink_to(tmp_path)
    for folder in (tmp_path, tmp_path / "folder"):
        for name in ("file", "same"):
            assert file_inside(folder, name, CheckpointError, "").is_file()


BOMB = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}]\n" for old, new in pairwise("abcdefghijklmnopqrstuvwxyz")
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (BOMB.encode(), r"alias \*a"),
        (b"a: " + b"[" * 100, "nested"),
        (b"#" * (CONFIG_LIMIT + 1), "bytes"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"a: [1", "no YAML"),
        (b"a: b: c", "no YAML"),
        (b"a: \x07", "no YAML"),
    ],
)
def test_hostile_settings_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        require_plain_config(tmp_path / "a.yaml")


def test_settings_that_are_no_file_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name in ("missing", "fifo", "a" * 5000, ".", "nul\0"):
        with pytest.raises(ConfigError, match="configuration file"):
            require_plain_config(tmp_path / name)


@given(value=json_values)
def test_settings_without_aliases_are_taken(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    path = tmp_path_factory.mktemp("settings") / "a.yaml"
    path.write_text(yaml.safe_dump({"value": value}), "utf-8")
    if "*id" in path.read_text("utf-8"):  # PyYAML's own alias for one object in two places
        return
    require_plain_config(path)
    assert yaml.safe_load(path.read_text("utf-8")).keys() == {"value"}


@given(st.binary(max_size=60))
def test_any_bytes_are_settings_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("settings") / "a.yaml"
    path.write_bytes(content)
    with contextlib.suppress(ConfigError):
        require_plain_config(path)

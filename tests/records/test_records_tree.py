"""Records below a folder, beside the other files of runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from alp.errors import RecordError
from alp.records import Record, read_tree, write


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two runs with records, and what else runs leave behind."""
    for place in ("a/records/sigma-0.5", "a/records/two", "b/loose"):
        record = Record(
            {"kind": "robustness", "name": place, "item": place[0]}, {"x": np.arange(3)}
        )
        write(record, tmp_path / place)
    (tmp_path / "a" / "table.json").write_text("{}")
    (tmp_path / "a" / "protocol.json").write_text('["header"]')
    (tmp_path / "a" / "models").mkdir()
    (tmp_path / "a" / "models" / "training.json").write_text("{broken")
    (tmp_path / "a" / "parts").mkdir()
    (tmp_path / "a" / "parts" / "one.parquet").write_bytes(b"unfinished")
    (tmp_path / "a" / "records" / ".token.two.json").write_text("half")
    return tmp_path


def test_every_record_and_nothing_else(tree: Path) -> None:
    kept, errors = read_tree(tree)
    paths = ["a/records/sigma-0.5.json", "a/records/two.json", "b/loose.json"]
    assert [each.path for each in kept] == paths
    assert [each.record.name for each in kept] == [path.removesuffix(".json") for path in paths]
    assert [each.folder for each in kept] == ["a/records", "a/records", "b"]
    assert [each.item for each in kept] == ["a", "a", "b"]
    assert errors == []


def test_a_folder_of_records_itself(tree: Path) -> None:
    kept, _ = read_tree(tree / "b")
    assert [(each.path, each.folder) for each in kept] == [("loose.json", "")]


def test_a_record_of_no_experiment_has_no_item(tmp_path: Path) -> None:
    write(Record({"kind": "robustness", "name": "mine"}, {"x": np.arange(3)}), tmp_path / "mine")
    assert read_tree(tmp_path)[0][0].item == ""


@pytest.mark.parametrize(
    ("name", "harm", "words"),
    [
        ("a/records/two.json", lambda path: path.write_text("{"), "is not JSON"),
        ("a/records/two.json", lambda path: path.write_text("{}"), "no record of alp"),
        ("a/records/two.parquet", lambda path: path.write_bytes(b"PAR1"), "two.parquet is damaged"),
        ("a/records/two.parquet", lambda path: path.unlink(), "two.parquet cannot be read"),
        ("a/records/two.json", lambda path: path.unlink(), "two.parquet has no JSON"),
        ("b/loose.json", lambda path: path.write_text("{"), "is not JSON"),
        ("b/loose.parquet", lambda path: path.unlink(), "loose.parquet cannot be read"),
    ],
)
def test_a_damaged_record_is_named_and_the_others_are_read(
    tree: Path, name: str, harm, words: str
) -> None:
    harm(tree / name)
    kept, errors = read_tree(tree)
    assert len(kept) == 2
    (error,) = errors
    assert words in str(error)
    assert str(error).startswith(name.rpartition(".")[0])
    assert str(tree) not in str(error), "the same words wherever the folder lies"


def test_a_foreign_file_among_records_is_refused(tree: Path) -> None:
    (tree / "a" / "records" / "notes.json").write_text(json.dumps({"header": "mine"}))
    kept, errors = read_tree(tree)
    assert len(kept) == 3
    assert "a/records/notes.json is no record of alp; move it" in str(errors[0])


def test_it_does_not_matter_where_the_folder_lies(tree: Path, tmp_path_factory) -> None:
    elsewhere = tmp_path_factory.mktemp("other") / "copy"
    shutil.copytree(tree, elsewhere)
    (tree / "b" / "loose.json").write_text("{")
    (elsewhere / "b" / "loose.json").write_text("{")
    first, second = read_tree(tree), read_tree(elsewhere)
    assert [each.path for each in first[0]] == [each.path for each in second[0]]
    assert list(map(str, first[1])) == list(map(str, second[1]))


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="missing"):
        read_tree(tmp_path / "missing")

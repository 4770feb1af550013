from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alp.errors import RecordError
from alp.records import SCHEMA, Record, read, read_all, write


def _record(name="A-ALP + AT"):
    return Record(
        {"kind": "sweep", "name": name, "sigma": 0.219, "nested": {"eps": [0.1, None]}},
        {
            "correct": np.array([True, False, True]),
            "label": np.array([3, 1, 2]),
            "psnr": np.array([25.5, np.inf, np.nan], dtype=np.float32),
            "attack": np.array(["fgsm", "", "pgd"], dtype="U30"),
        },
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The two files of a good record, as (folder, {suffix: bytes})."""
    folder = tmp_path_factory.mktemp("records")
    write(_record(), folder / "good")
    return folder, {suffix: (folder / f"good.{suffix}").read_bytes() for suffix in KINDS}


KINDS = ["json", "parquet"]


def test_a_record_comes_back_to_the_bit(tmp_path):
    path = write(_record(), tmp_path / "deep" / "sigma-0.5")
    assert path.name == "sigma-0.5.json"
    assert sorted(found.name for found in path.parent.iterdir()) == [
        "sigma-0.5.json",
        "sigma-0.5.parquet",
    ]
    back = read(path)
    assert back.same(_record())
    assert back.header["schema"] == SCHEMA
    assert read(tmp_path / "deep" / "sigma-0.5").same(back)
    assert len(back) == 3


def test_writing_again_gives_the_same_bytes_and_another_record_replaces_it(tmp_path):
    first = write(_record(), tmp_path / "a").read_bytes()
    assert write(_record(), tmp_path / "a.json").read_bytes() == first
    other = Record({"kind": "sweep", "name": "other"}, {"x": np.arange(2)})
    write(other, tmp_path / "a")
    assert read(tmp_path / "a").same(other)


def test_same_sees_every_difference():
    record = _record()
    assert not record.same(_record("another"))
    assert not record.same(Record(record.header, {**record.columns, "more": np.arange(3)}))
    changed = {**record.columns, "label": np.array([3, 1, 1])}
    assert not record.same(Record(record.header, changed))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_a_changed_byte_anywhere_is_refused(written, data, kind):
    folder, good = written
    raw = bytearray(good[kind])
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    _refused(folder, good, kind, bytes(raw))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_a_file_cut_or_lengthened_anywhere_is_refused(written, data, kind):
    folder, good = written
    cut = good[kind][: data.draw(st.integers(0, len(good[kind]) - 1))]
    _refused(folder, good, kind, cut)
    _refused(folder, good, kind, good[kind] + data.draw(st.binary(min_size=1, max_size=9)))


def _refused(folder, good, kind, raw):
    for suffix in KINDS:
        (folder / f"bad.{suffix}").write_bytes(raw if suffix == kind else good[suffix])
    with pytest.raises(RecordError, match=r"bad\.(json|parquet)"):
        read(folder / "bad.json")


def test_the_error_names_the_damaged_file_and_the_repair(written, tmp_path):
    _, good = written
    (tmp_path / "x.json").write_bytes(good["json"])
    with pytest.raises(RecordError, match=r"x\.parquet cannot be read.*evaluate again"):
        read(tmp_path / "x")
    (tmp_path / "x.parquet").write_bytes(good["parquet"][:-1])
    with pytest.raises(RecordError, match=r"x\.parquet is damaged.*evaluate again"):
        read(tmp_path / "x")
    (tmp_path / "x.parquet").write_bytes(good["parquet"])
    (tmp_path / "x.json").write_bytes(good["json"].replace(b"0.219", b"0.319"))
    with pytest.raises(RecordError, match=r"x\.json is damaged or was edited"):
        read(tmp_path / "x")


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"header": 1}', "{" * 5000, "[" * 200000])
def test_foreign_json_is_refused(tmp_path, text):
    (tmp_path / "foreign.json").write_text(text)
    with pytest.raises(RecordError, match=r"foreign\.json"):
        read(tmp_path / "foreign")


def test_another_schema_is_refused_with_its_version(tmp_path):
    write(
        Record({"schema": SCHEMA + 1, "kind": "k", "name": "n"}, {"x": np.arange(1)}),
        tmp_path / "a",
    )
    with pytest.raises(RecordError, match=f"schema {SCHEMA + 1}"):
        read(tmp_path / "a")


def test_read_all_keeps_the_good_and_explains_the_others(tmp_path):
    write(_record("b"), tmp_path / "2")
    write(_record("a"), tmp_path / "1")
    (tmp_path / "3.json").write_text("{}")
    (tmp_path / "orphan.parquet").write_bytes(b"")
    (tmp_path / ".123.4.json").write_text("half a rec")
    records, errors = read_all(tmp_path)
    assert [record.name for record in records] == ["a", "b"]
    assert len(errors) == 1
    assert "3.json" in str(errors[0])
    with pytest.raises(RecordError, match="no folder"):
        read_all(tmp_path / "missing")


def test_a_kill_between_the_two_files_leaves_no_mixture(tmp_path, monkeypatch):
    from alp.records import record as module

    path = write(_record(), tmp_path / "a")
    real = module.write_atomically

    def killed(target, write_to):
        if target.suffix == ".json":
            raise KeyboardInterrupt
        real(target, write_to)

    monkeypatch.setattr(module, "write_atomically", killed)
    with pytest.raises(KeyboardInterrupt):
        write(Record({"kind": "k", "name": "n"}, {"x": np.arange(1)}), path)
    assert read_all(tmp_path) == ([], [])


@pytest.mark.parametrize(
    ("header", "columns", "complaint"),
    [
        ({"name": "n"}, {"x": np.arange(1)}, "kind is None"),
        ({"kind": "k", "name": 3}, {"x": np.arange(1)}, "name is 3"),
        ({"kind": "k", "name": "n", "v": float("inf")}, {"x": np.arange(1)}, "JSON"),
        ({"kind": "k", "name": "n", "v": object()}, {"x": np.arange(1)}, "JSON"),
        ({"kind": "k", "name": "n"}, {}, "columns"),
        ({"kind": "k", "name": "n"}, {"x": np.arange(1), "y": np.arange(2)}, "one length"),
        ({"kind": "k", "name": "n"}, {"x": np.zeros((2, 2))}, "one length"),
        ({"kind": "k", "name": "n"}, {"x": np.array([object()])}, "'x' is object"),
    ],
)
def test_what_cannot_be_kept_is_refused(header, columns, complaint):
    with pytest.raises(RecordError, match=complaint):
        Record(header, columns)


def test_records_need_no_torch():
    code = "import alp.records, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_json_is_for_people_too(written):
    _, good = written
    assert json.loads(good["json"])["header"]["name"] == "A-ALP + AT"
    assert b'\n  "name": "A-ALP + AT"' in good["json"]


def test_a_record_saves_itself(tmp_path):
    path = _record().save(tmp_path / "own")
    assert read(path).same(_record())


def test_a_table_has_no_number_where_nothing_was_predicted():
    pytest.importorskip("pandas")
    record = Record(
        {"kind": "verdict", "name": "toy"},
        {
            "label": np.array([0, 1]),
            "eot pgd_fresh": np.array([-1, 2], dtype=np.int16),
            "clean_prediction": np.array([3, -1]),
            "shift": np.array([-1, 1]),
        },
    )
    frame = record.to_pandas()
    assert np.isnan(frame["eot pgd_fresh"]).tolist() == [True, False]
    assert np.isnan(frame["clean_prediction"]).tolist() == [False, True]
    assert frame["eot pgd_fresh"].mean() == 2
    assert frame["shift"].tolist() == [-1, 1]
    assert _record().to_pandas()["attack"].tolist() == ["fgsm", "", "pgd"]

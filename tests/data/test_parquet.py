from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alp.data.cifar10 import read_rows
from alp.errors import DataError

ROWS = [{"bytes": f"picture {k}".encode() * 20, "path": f"{k}.png"} for k in range(50)]


def write(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("rows") / "whole.parquet", img=ROWS, label=[*range(50)])


def test_rows_come_back_in_order(whole: Path) -> None:
    pictures, labels = read_rows(whole, "img", "label", "repair")
    assert pictures == [row["bytes"] for row in ROWS]
    assert labels.tolist() == list(range(50))
    assert labels.dtype == "int64"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_named(whole: Path, tmp_path: Path, share: float) -> None:
    content = whole.read_bytes()
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"cannot read .*cut\.parquet.*get it again and mend it"):
        read_rows(cut, "img", "label", "mend it")


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    other = tmp_path / "other.parquet"
    other.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot read .*other\.parquet"):
        read_rows(other, "img", "label", "mend it")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.parquet"):
        read_rows(tmp_path / "gone.parquet", "img", "label", "mend it")


@pytest.mark.parametrize(
    "columns",
    [
        {"image": ROWS, "label": [*range(50)]},
        {"img": ROWS, "fine_label": [*range(50)]},
        {"img": [*range(50)], "label": [*range(50)]},
        {"img": [{"path": "x"}] * 50, "label": [*range(50)]},
        {"img": ROWS, "label": ["cat"] * 50},
        {"img": ROWS, "label": [0.5] * 50},
    ],
    ids=["picture column", "label column", "no struct", "no bytes", "text labels", "halves"],
)
def test_other_columns_are_refused(tmp_path: Path, columns: dict[str, object]) -> None:
    path = write(tmp_path / "odd.parquet", **columns)
    with pytest.raises(DataError, match=r"odd\.parquet .*columns img \(bytes, path\) and label"):
        read_rows(path, "img", "label", "mend it")


@pytest.mark.parametrize(
    "columns",
    [
        {"img": ROWS[:1] * 2, "label": pa.array([1, None])},
        {"img": [ROWS[0], {"bytes": None, "path": "x"}], "label": [1, 2]},
        {"img": [ROWS[0], None], "label": [1, 2]},
    ],
    ids=["label", "bytes", "picture"],
)
def test_empty_cells_are_refused(tmp_path: Path, columns: dict[str, object]) -> None:
    path = write(tmp_path / "holes.parquet", **columns)
    with pytest.raises(DataError, match=r"holes\.parquet has rows without"):
        read_rows(path, "img", "label", "mend it")

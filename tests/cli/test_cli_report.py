"""``alp report``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[2] / "results" / "cpu"


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """A copy of the committed records of Table II."""
    shutil.copytree(RESULTS / "hierarchy" / "records", tmp_path / "hierarchy" / "records")
    return tmp_path


def test_page_figures_and_claims(alp, records: Path) -> None:
    told = alp("report", records, "--title", "My page")
    assert (told.status, told.err) == (0, "")
    page = (records / "report.html").read_text()
    assert "<title>My page</title>" in page
    assert "The paper&#39;s claims" in page or "The paper's claims" in page
    assert (records / "figures" / "hierarchy.svg").is_file()
    count = len(list(records.rglob("records/*.json")))
    for words in (f"{count} shown", "1 figure in", "not reproduced", str(records / "report.html")):
        assert words in told.out


def test_json_names_what_is_shown_and_what_is_refused(alp, records: Path) -> None:
    path = records / "hierarchy" / "records" / "defended-0.parquet"
    path.write_bytes(path.read_bytes()[:100])
    told = alp("report", records, "--out", records / "new" / "page.html", "--json")
    assert told.status == 0
    shown = json.loads(told.out)
    assert shown["report"] == str(records / "new" / "page.html")
    assert len(shown["records"]) == len(list(records.rglob("records/*.json"))) - 1
    (refused,) = shown["refused"]
    assert refused.startswith("hierarchy/records/defended-0.parquet is damaged")
    claims = {each["id"]: each for each in shown["claims"]}
    claim = claims["hierarchy.a-alp-at.robust"]
    assert claim["findings"][0]["records"][0] == "hierarchy/records/defended-1.json"
    assert refused in Path(shown["report"]).read_text()
    assert "refused: hierarchy/records/defended-0.parquet" in alp("report", records).err


def test_a_folder_without_records_is_told(alp, tmp_path: Path) -> None:
    told = alp("report", tmp_path)
    assert told.status == 0
    assert "no record below" in told.err
    assert alp("report", tmp_path / "missing").status == 1

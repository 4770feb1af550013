from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

from alp.errors import AlpError, ConfigError, RecordError
from alp.records import Record, write
from alp.report import write_report

pytestmark = pytest.mark.slow

EVIL = '<script>alert(1)</script><img src="x" onerror="alert(2)">$\\bad{'


@pytest.fixture
def report(tmp_path, page):
    def make(*records, **options):
        for number, record in enumerate(records):
            write(record, tmp_path / "records" / f"{number}")
        out = write_report(tmp_path / "records", tmp_path / "out" / "report.html", **options)
        return page(out.page.read_text("utf-8"))

    return make


def test_the_table_shows_value_interval_and_protocol(report, make_record):
    found = report(make_record())
    (row,) = found.tables[0]
    assert row["name"] == ["A-ALP + AT", "20 draws, 1 trial"]
    assert row["clean"] == ["80.0 %", "73.9\u201385.0"]
    assert row["single"] == ["30.0 %", "24.1\u201336.7"]
    assert row["masked"] == ["60.0 %", "53.1\u201366.5"]
    assert row["every level"] == row["single"]
    assert row["PSNR"] == ["25.00 dB"]
    assert row["SSIM"] == ["0.900"]
    assert row["sigma"] == ["0.200"]
    assert row["latency"] == ["13.50 ms"]
    for words in (
        "L∞, ε = 8/255",
        "PGD: 7 steps of 2/255, 1 restart",
        "200 of cifar10 (test)",
        "the words of masked",
        "c1c1c1c1c1c1",
        "1 image, cpu",
    ):
        assert words in found.text


def test_trials_become_mean_and_deviation(report, make_record):
    found = report(*(make_record(trial=n, single=s) for n, s in enumerate([0.3, 0.32, 0.34])))
    (row,) = found.tables[0]
    assert row["name"][1] == "20 draws, 3 trials"
    assert row["single"] == ["32.0 %", "25.9\u201338.8", "SD 2.00"]
    assert row["masked"][-1] == "SD 0.00"


def test_published_values_stand_beside_the_measured(report, make_record):
    claims = {"AT": {"single": 0.2826}, "A-ALP + AT": {"single": 0.3206, "psnr": 25.68}}
    records = [make_record(), make_record("new", single=0.1), make_record("AT", psnr=np.inf)]
    found = report(*records, published=claims)
    rows = {row["name"][0]: row for row in found.tables[0]}
    assert list(rows) == ["AT", "A-ALP + AT", "new"], "the order of the claims, then the others"
    assert rows["AT"]["single"][-1] == "28.26 %"
    assert rows["AT"]["PSNR"] == ["\u2013"]
    assert rows["A-ALP + AT"]["single"][-1] == "32.06 %"
    assert rows["A-ALP + AT"]["PSNR"][-1] == "25.68 dB"
    assert len(rows["new"]["single"]) == 2


def test_a_claim_for_no_column_is_refused(report, make_record):
    with pytest.raises(ConfigError, match=r"'signle'.*single"):
        report(make_record(), published={"AT": {"signle": 0.2}})


def test_what_was_measured_differently_is_never_averaged(report, make_record):
    found = report(
        make_record(),
        make_record(trial=1, threat={"name": "l2", "eps": 0.5}),
        make_record(trial=1, draws=1),
    )
    assert [len(table) for table in found.tables] == [2, 1]
    assert {row["name"][1] for row in found.tables[0]} == {"20 draws, 1 trial", "1 draw, 1 trial"}
    assert "L2, ε = 0.5" in found.text


def test_a_level_that_one_defence_lacks_leaves_a_gap(report, make_record):
    other = make_record("other", knowledge={"single": "words"})
    rows = {row["name"][0]: row for row in report(make_record(), other).tables[0]}
    assert rows["other"]["masked"] == ["\u2013"]
    assert rows["other"]["single"] == rows["A-ALP + AT"]["single"]


def test_warnings_are_on_the_page_with_their_defence(report, make_record):
    found = report(
        make_record(warnings=["the gradient seen by `masked` is zero"]),
        make_record("twice", warnings=[]),
        make_record("twice", warnings=[]),
    )
    assert re.search(r"gradient seen by masked is zero \(A-ALP \+ AT\)", found.text)
    assert re.search(r"trial 0 is there 2 times.*\(twice\)", found.text)


def test_refused_records_are_listed_and_the_others_shown(report, make_record, tmp_path):
    broken = make_record("incomplete")
    del broken.header["threat"]
    path = write(make_record("damaged"), tmp_path / "records" / "damaged")
    path.write_bytes(path.read_bytes()[:-40])
    sweep = Record({"kind": "sweep", "name": "s"}, {"x": np.arange(2)})
    found = report(make_record(), broken, sweep)
    assert [row["name"][0] for row in found.tables[0]] == ["A-ALP + AT"]
    assert "damaged.json is not JSON" in found.text
    assert "lacks threat" in found.text
    assert "1 of another kind is not shown" in found.text


def test_no_records_make_a_page_that_says_so(report, tmp_path):
    (tmp_path / "records").mkdir()
    assert "no record to show" in report(published={"AT": {"single": 0.3}}).text


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(RecordError, match="missing"):
        write_report(tmp_path / "missing", tmp_path / "out.html")
    assert not (tmp_path / "out.html").exists()


def test_nothing_in_a_record_is_executed(report, make_record):
    record = make_record(
        EVIL,
        data={"name": EVIL, "split": EVIL},
        knowledge={"single": EVIL, "masked": EVIL},
        attack={"name": EVIL, EVIL: EVIL},
        weights={EVIL: EVIL},
        versions={EVIL: EVIL},
        latency={"device": EVIL},
        warnings=[f"`{EVIL}`"],
    )
    evil = {"title": EVIL, "published": {EVIL: {"single": 0.1}}}
    found = report(record, **evil)
    assert "script" not in found.tags
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert not [name for name, _ in found.attributes if name == "src"]
    assert EVIL in found.text, "shown as it is, not swallowed"


def test_the_page_needs_nothing_else(report, make_record):
    found = report(make_record())
    assert not {"script", "link", "iframe", "object", "base"} & set(found.tags)
    linked = [
        value
        for name, value in found.attributes
        if name in ("src", "href", "xlink:href", "srcset", "action")
    ]
    assert all(value.startswith(("data:image/png;base64,", "#")) for value in linked)
    assert not re.search(r"@import|url\((?!#)", found.html)
    assert "default-src 'none'" in found.html


def test_the_same_records_give_the_same_page(report, make_record):
    assert report(make_record()).html == report(make_record()).html


@pytest.mark.parametrize("module", ["jinja2", "matplotlib"])
def test_a_missing_package_is_named_with_the_repair(report, make_record, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(AlpError, match=rf'{module}.*pip install -e "\.\[report\]"'):
        report(make_record())


def test_importing_the_report_is_cheap():
    code = (
        "import alp.report, sys; "
        "sys.exit(bool({'torch', 'matplotlib', 'jinja2'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

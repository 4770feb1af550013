"""The parts of the page besides the tables: verdicts, benchmarks, figures, claims."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
from base64 import b64encode
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from alp.errors import RecordError
from alp.experiments.reproduce import write_page
from alp.records import Kept, Record, write
from alp.report import write_report
from alp.report.claims import Finding, Judged
from alp.report.drawing import drawn
from alp.report.figures import FIGURES, Drawing
from alp.report.overview import Mark, Overview, draw, overview_part
from alp.report.tables import ABSENT

pytestmark = pytest.mark.slow

RESULTS = Path(__file__).parents[2] / "results" / "cpu"
EVIL = '<script>alert(1)</script><img src="x" onerror="alert(2)">'
IMAGES = 40


@pytest.fixture
def make_verdict():
    def make(name="A-ALP + AT", *, passed=True, words="nothing found", **header) -> Record:
        entries = [
            {
                "name": f"{level} pgd",
                "level": level,
                "attack": {"name": "pgd", "steps": 5, "step_size": 2 / 255},
                "draws": draws,
                "objective": "loss",
                "surrogate": "",
                "closing": False,
            }
            for level, draws in (("single", 1), ("eot", 10))
        ]
        columns = {
            "clean_select": np.full(IMAGES, 2),
            "clean_fresh": np.full(IMAGES, 2),
            "psnr": np.full(IMAGES, 26.0, np.float32),
        }
        for entry, share in zip(entries, (0.5, 0.25), strict=True):
            right = np.where(np.arange(IMAGES) < share * IMAGES, 2, 0)
            columns |= {
                f"{entry['name']}_attacked": np.ones(IMAGES, bool),
                f"{entry['name']}_select": right,
                f"{entry['name']}_fresh": right,
            }
        check = {
            "check": "steps",
            "passed": passed,
            "value": -0.125,
            "bound": 0.03,
            "inequality": "accuracy(PGD-30) - accuracy(PGD-10) <= tau",
            "words": words,
        }
        base = {
            "kind": "verdict",
            "name": name,
            "trial": 0,
            "seed": 3,
            "draws": 20,
            "images": IMAGES,
            "data": {"name": "cifar10", "split": "test"},
            "data_digest": "d1" * 32,
            "threat": {"name": "linf", "eps": 8 / 255},
            "suite": "quick",
            "evaluations": 2,
            "entries": entries,
            "knowledge": {"single": "one draw", "eot": "the mean over draws"},
            "weights": {"model": "c1" * 32},
            "sigma": 0.6,
            "checks": [check],
            "warnings": [],
        }
        return Record({**base, **header}, columns)

    return make


@pytest.fixture
def report(tmp_path, page):
    def make(records, **options):
        for number, record in enumerate(records):
            write(record, tmp_path / "records" / f"{number}")
        written = write_report(tmp_path / "records", tmp_path / "out" / "report.html", **options)
        return page(written.page.read_text("utf-8"))

    return make


def test_a_verdict_shows_every_level_and_the_worst_case(report, make_verdict) -> None:
    found = report([make_verdict()])
    (row,) = found.tables[0]
    assert row["name"] == ["A-ALP + AT", "20 draws, trial 0", "1 of 1 check passed"]
    assert [row[key][0] for key in ("clean", "single", "eot")] == ["100.0 %", "50.0 %", "25.0 %"]
    assert row["worst case"] == ["25.0 %", "14.2\u201340.2"]
    assert row["majority"] == row["right every time"] == row["worst case"]
    for words in (
        "accuracy(PGD-30) - accuracy(PGD-10) <= tau",
        "measured \u22120.125, bound 0.030",
        "✓ passed steps : nothing found",
        "PGD: 5 steps of 2/255; 10 draws a call, mean loss",
        "25.0 % of the images stay correct in the worst case",
        "the mean over draws",
    ):
        assert words in found.text
    assert "Do not quote" not in found.text


def test_a_failed_check_stands_above_the_numbers(report, make_verdict) -> None:
    suspicion = "gradient masking suspected: PGD-30 leaves 7.1 points more"
    found = report([make_verdict(passed=False, words=suspicion), make_verdict("fine")])
    assert found.text.count(suspicion) == 2, "in the alarm, and among the checks"
    assert found.text.index("Do not quote the numbers of A-ALP + AT yet.") < found.text.index(
        "holds best"
    )
    assert "✗ failed steps" in found.text
    assert "1 of 1 checks failed" in found.text
    opened = re.findall(r'<details class="checks"( open)?>', found.html)
    assert opened == [" open", ""], "the failed one is open"


def test_a_suite_without_checks_is_not_endorsed(report, make_verdict) -> None:
    found = report([make_verdict(checks=[])])
    (row,) = found.tables[0]
    assert row["name"] == ["A-ALP + AT", "20 draws, trial 0", "not checked"]
    assert "A-ALP + AT : not checked" in found.text
    assert "✓" not in found.text


def test_verdicts_of_other_threats_are_tables_of_their_own(report, make_verdict) -> None:
    other = make_verdict("other", threat={"name": "l2", "eps": 0.5})
    deterministic = make_verdict("AT", evaluations=2, draws=1)
    found = report([make_verdict(), other, deterministic])
    assert [len(table) for table in found.tables] == [2, 1]


@pytest.mark.parametrize("key", ["entries", "data", "knowledge", "weights", "evaluations"])
def test_a_foreign_verdict_is_refused_by_the_name_of_its_file(report, make_verdict, key) -> None:
    broken = make_verdict("broken")
    del broken.header[key]
    found = report([make_verdict(), broken])
    assert [row["name"][0] for row in found.tables[0]] == ["A-ALP + AT"]
    assert re.search(r"1\.json cannot be shown \(.*" + key, found.text)
    assert "delete it and make it again" in found.text


def test_nothing_in_a_verdict_is_executed(report, make_verdict) -> None:
    record = make_verdict(EVIL, passed=False, words=f"`{EVIL}`", suite=EVIL, warnings=[EVIL])
    found = report([record], judge=lambda kept: [_claim(EVIL)])
    assert found.tags.count("script") == 1
    assert "img" not in found.tags
    assert EVIL in found.text


def _claim(text: str) -> Judged:
    finding = Finding(text, 1.0, text, text, True, (text,))
    return Judged(text, text, text, text, 1.0, text, text, (finding,))


def test_the_claims_and_the_one_script_that_may_run(report, make_verdict) -> None:
    found = report([make_verdict()], judge=lambda kept: [_claim("the claim")])
    (row,) = found.tables[0]
    assert row["name"] == ["the claim", "the claim"]
    assert row["verdict"] == ["✓", "reproduced"]
    script = re.search(r"<script>(.*?)</script>", found.html, re.DOTALL)[1]
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in found.html
    assert "<script" not in report([make_verdict()]).html


def test_a_benchmark_is_sorted_by_its_median_without_the_matrix_peak(report) -> None:
    contestants = {
        "a": {"what": "draws", "backend": "eager", "precision": "float32", "threads": 2},
        "b": {"what": "draw", "backend": "ort", "precision": "int8", "threads": 1},
        "p": {"what": "peer", "peer": "diffpure", "threads": 2},
        "m": {"what": "peak", "precision": "float32", "threads": 2},
    }
    names = [name for name in contestants for _ in range(3)]
    columns = {
        "batch": np.full(12, 4),
        "contestant": np.array(names),
        "ms": np.array([20.0, 20, 20, 2, 2, 2, 4000, 4000, 4000, 1, 1, 1]),
        "draws": np.array([20.0] * 3 + [1.0] * 3 + [np.nan] * 6),
    }
    header = {
        "kind": "bench",
        "name": "lite",
        "contestants": contestants,
        "device": "a processor",
        "rounds": 3,
    }
    found = report([Record(header, columns), Record({**header, "contestants": {"a": {}}}, columns)])
    rows = found.tables[0]
    assert [row["name"][0] for row in rows] == ["one draw", "all draws", "diffpure"]
    assert rows[1]["median of a call"] == ["20.00 ms"]
    assert rows[1]["images a second"] == ["200"]
    assert rows[2]["draws an image"] == ["\u2013"]
    assert "4 images a call" in found.text
    assert "1.json cannot be shown" in found.text


def _kept(value, number: int = 0, folder: str = "a", **header) -> Kept:
    record = Record(
        {"kind": "points", "name": "x", "item": "line", **header}, {"y": np.array([value])}
    )
    return Kept(f"{folder}/records/{number}.json", record)


def _drawing(least: int = 1) -> Drawing:
    def draw(records):
        from matplotlib.figure import Figure

        if len(records) < least:
            raise RecordError("too few")
        figure = Figure(facecolor="none")
        figure.subplots().plot([float(record.columns["y"][0]) for record in records])
        return figure

    return Drawing("A line", ("points",), draw, lambda records: f"{len(records)} records")


@pytest.mark.parametrize(
    "name", ["$\\frac{$", "a_b^c", "x" * 200, "two\nlines", "\x00\x1b", "\u5b57"]
)
def test_odd_names_do_not_break_the_chart_of_a_table(make_record, name) -> None:
    kept = [Kept("a/records/0.json", make_record(name))]
    (figure,), refused = drawn(kept, {"hierarchy": FIGURES["hierarchy"]})
    assert refused == {}
    assert figure.svg.endswith("</svg>\n")


def test_the_first_chart_has_a_mark_a_series_and_says_its_value() -> None:
    chart = {"AT": {"paper": Mark(28.3), "ours": Mark(45.1, 42.0, 48.2)}, "none": {"ours": Mark(0)}}
    shown = Overview((), (), (), chart, "caption", "title")
    (axes,) = draw(shown).axes
    assert [text.get_text() for text in axes.texts] == ["28.3", "45.1", "0.0"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["AT", "none"]
    spans = [line.get_xdata() for line in axes.get_lines() if len(line.get_xdata()) == 2]
    assert [42.0, 48.2] in [list(span) for span in spans]
    assert 'aria-label="title"' in overview_part(shown)["svg"]


def test_figures_are_drawn_once_a_run_in_three_formats() -> None:
    kept = [_kept(1.0), _kept(2.0, 1), _kept(3.0, folder="b"), _kept(1.0, folder="c", kind="other")]
    kept.append(_kept(1.0, folder="d", item="another"))
    figures, refused = drawn(kept, {"line": _drawing()})
    assert refused == {}
    assert [each.name for each in figures] == ["a-line", "b-line"]
    assert figures[0].caption == "2 records"
    assert figures[0].records == ("a/records/0.json", "a/records/1.json")
    assert figures[0].sources == "2 records in a/records"
    first = figures[0].files
    with Image.open(io.BytesIO(first["png"])) as picture:
        assert picture.format == "PNG"
        assert picture.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255), "legible anywhere"
    assert first["pdf"].startswith(b"%PDF")
    assert ElementTree.fromstring(first["svg"]).tag.endswith("svg")
    assert first == drawn(kept, {"line": _drawing()})[0][0].files, "the same bytes again"


@pytest.mark.parametrize("least", [1, 2, 3])
def test_the_record_that_cannot_be_drawn_is_found(least: int) -> None:
    """Alone, or where the figure needs several, as the one without which the rest can be drawn."""
    kept = [_kept(float(number), number) for number in range(4)]
    kept[2] = Kept(kept[2].path, Record(kept[2].record.header, {"z": np.array([1])}))
    figures, refused = drawn(kept, {"line": _drawing(least)})
    assert list(refused) == ["a/records/2.json"]
    assert "KeyError: 'y'" in refused["a/records/2.json"]
    assert figures[0].caption == "3 records"


def test_a_figure_without_enough_records_says_so() -> None:
    figures, refused = drawn([_kept(1.0)], {"line": _drawing(2)})
    assert figures == []
    assert "too few" in refused["a/records/0.json"]


def test_the_committed_page_is_that_of_the_committed_records(tmp_path) -> None:
    """Byte for byte, wherever they lie, without any model or data; records that name no experiment
    are drawn by their kind."""
    shutil.copytree(RESULTS, tmp_path / "in")
    written = write_page(tmp_path / "in", tmp_path / "out" / "page.html")
    assert written.refused == ()
    assert written.page.read_bytes() == (RESULTS / "report.html").read_bytes(), (
        "run `alp report results/cpu` and commit it"
    )
    committed = {path.name: path.read_bytes() for path in (RESULTS / "figures").iterdir()}
    assert {path.name: path.read_bytes() for path in written.figures} == committed
    names = {path.name for path in written.figures}
    assert {"hierarchy.svg", "hierarchy.pdf", "hierarchy.png"} <= names
    page = written.page.read_text("utf-8")
    contents = re.findall(r'<li><a href="#(?!claim-)[^"]+">([^<]+)</a>', page)
    assert len(contents) == len(set(contents)) == 7, "one link a kind, however many runs"
    runs = re.findall(r'<article id="(?:verdict|table|bench)-\d+">\s*<h3>([^<]+)</h3>', page)
    assert len(runs) == len(set(runs)) > 10, "parts of several runs can be told apart"
    charts = re.findall(r'<figure id="figure-([^"]+)"', page)
    assert sorted(charts) == sorted({path.stem for path in written.figures}), "each chart once"


def _defence(kind: str, **settings) -> dict[str, object]:
    return {"kind": kind, "settings": settings, "parameters": 1_563_766}


def test_a_leaderboard_ranks_the_defences_of_one_protocol(report, make_verdict) -> None:
    weak = make_verdict("median", defence=_defence("median"))
    magnet = _defence("magnet", detect=False)
    strong = make_verdict("ours", defence=magnet, attack_precision="bfloat16")
    strong.columns["eot pgd_select"][:] = strong.columns["eot pgd_fresh"][:] = 2
    found = report([weak, strong, make_verdict("says not what it is")])
    assert found.tables[0][0]["name"] == ["MagNet, reformer alone"]
    rows = [{key: "".join(values) for key, values in row.items()} for row in found.tables[0]]
    assert [row["name"] for row in rows] == ["MagNet, reformer alone", "median of 2x2"]
    best = rows[0]
    assert best["parameters"] == "1,563,766"
    assert (best["clean"], best["single"], best["eot"]) == ("100.0 %", "50.0 %", "100.0 %")
    assert best["worst case"].startswith("50.0 % (35.")
    assert best["checks"] == "1 of 1"
    assert [row["attackers in"] for row in rows] == ["bfloat16", "float32"]
    assert "Carlini and Wagner" in best["published"]
    assert best["certified 0.25"] == best["time, one draw of ours = 1"] == ABSENT


@pytest.mark.parametrize("largest", [0.5, 0.25])
def test_a_leaderboard_takes_certificates_of_the_same_weights_and_times_by_name(
    report, make_verdict, bench_record, largest
) -> None:
    """The weights do not tell which defence stands before them, the name does; votes have no other
    name in a package's rows than the package's. Nothing is said of radii that nobody asked for."""
    certificate = {
        "kind": "certificate",
        "name": "published-diffpure",
        "sigma": 0.25,
        "weights": {"model": "d0" * 32},
        "radii": [0.0, 0.25, largest],
        "alpha": 0.001,
        "budget": 1000,
        "method": "anytime",
        "precision": "float32",
        "seed": 0,
        "data": {"name": "cifar10"},
        "images": 4,
        "shape": [3, 32, 32],
    }
    votes = {
        "index": np.arange(4),
        "label": np.zeros(4, int),
        "selected": np.array([0, 0, 0, 1]),
        "draws": np.full(4, 100),
        "radius": np.array([0.6, 0.3, np.nan, 0.9]),
        "refuted": np.full(4, np.inf),
        "stopped": np.array(["settled"] * 4),
        "votes_0": np.array([100, 100, 60, 0]),
        "votes_1": np.array([0, 0, 40, 100]),
    }
    same = {"model": "d0" * 32}
    judged = [
        make_verdict("published-diffpure", defence=_defence("x"), weights=same),
        make_verdict("other", defence=_defence("x"), weights=same),
        make_verdict("votes", defence=_defence("smoothed"), weights=same, sigma=0.25),
        make_verdict("louder", defence=_defence("smoothed"), weights=same, sigma=0.5),
        make_verdict("trained longer", defence=_defence("smoothed"), weights={"model": "d1" * 32}),
        make_verdict("other", defence=_defence("x", precision="bfloat16")),
        make_verdict("published-diffpure", defence=_defence("x", precision="bfloat16")),
    ]
    contestants = {
        name: about | ({"settings": {}} if about["what"] == "peer" else {})
        for name, about in bench_record.header["contestants"].items()
    }
    header = bench_record.header | {"seed": 0, "contestants": contestants}
    timed = Record(header, bench_record.columns)
    fewer = Record({**certificate, "images": 1}, {key: each[:1] for key, each in votes.items()})
    found = report([*judged, fewer, Record(certificate, votes), timed])
    assert len(found.tables[0]) == len(judged), "other settings make another row"
    times = [row["time, one draw of ours = 1"][0] for row in found.tables[0]]
    assert sorted(times) == ["450.0", *[ABSENT] * (len(judged) - 1)], "of one's own settings alone"
    rows = {row["name"][0]: row for row in reversed(found.tables[0])}
    row = rows["published-diffpure"]
    assert row["certified 0.25"] == rows["votes"]["certified 0.25"] == ["50.0 %"]
    assert row["certified 0.5"] == ["25.0 %" if largest == 0.5 else ABSENT]
    for name in ("other", "trained longer", "louder"):
        assert rows[name]["certified 0.25"] == [ABSENT]


def test_where_verdicts_are_many_those_of_a_leaderboard_are_one_click_away(
    report, make_verdict
) -> None:
    """With what failed a check in the words that are clicked; few stand open, as do those that no
    leaderboard has."""
    told = [
        make_verdict("a", defence=_defence("jpeg")),
        make_verdict("b", defence=_defence("median"), passed=False, words="a doubt"),
    ]
    others = [make_verdict("c", suite=f"suite {number}") for number in range(5)]
    folded = "<summary>Verdicts of the leaderboard"
    assert folded not in report(told).html
    page = report([*told, *others]).html
    assert page.count('<article id="verdict-') == 6
    before, behind = page.split(folded)
    assert before.count('<article id="verdict-') == 5
    assert behind.startswith("; a check failed, do not quote yet: b</summary>")


def test_one_defence_or_other_data_make_no_leaderboard(report, make_verdict) -> None:
    one = make_verdict("one", defence=_defence("jpeg"))
    data = {"name": "cifar10", "split": "validation"}
    other = make_verdict("other", defence=_defence("median"), data=data)
    assert 'id="leaderboard"' not in report([one, other]).html


def test_fewer_images_and_a_verdict_without_checks_stand_in_the_same_leaderboard(
    report, make_verdict
) -> None:
    long = make_verdict("one", defence=_defence("jpeg"), suite="quick")
    short = Record(
        {**long.header, "images": 1}, {key: each[:1] for key, each in long.columns.items()}
    )
    other = make_verdict("other", defence=_defence("median"), suite="unchecked", checks=[])
    found = report([short, long, other])
    rows = {row["name"][0]: row for row in found.tables[0]}
    assert [*rows] == ["JPEG, quality 75", "median of 2x2"]
    assert len(found.tables[0]) == 2
    namesake = make_verdict("one", defence=_defence("jpeg"), weights={"model": "d2" * 32})
    assert len(report([namesake, long, other]).tables[0]) == 3, "another model of the same name"
    unchecked = Record({**long.header, "checks": [], "suite": "unchecked"}, long.columns)
    (row, _) = report([unchecked, short, other]).tables[0]
    assert row["images"] == ["1"], "whose checks ran"
    assert rows["JPEG, quality 75"]["images"] == [f"{long.header['images']}"]
    assert rows["median of 2x2"]["checks"] == ["not run"]


def test_of_many_defences_each_has_a_line_the_best_first(make_verdict) -> None:
    few = [make_verdict(f"model-{number:02}") for number in range(12)]
    many = [*few, make_verdict("best")]
    many[-1].columns["single pgd_select"][:] = many[-1].columns["single pgd_fresh"][:] = 2
    lines = [
        [each.get_text() for each in FIGURES["honest"].draw(records).axes[0].get_yticklabels()]
        for records in (few, many)
    ]
    assert "worst case" in lines[0]
    assert len(lines[1]) == 13
    assert lines[1][0] == "best"
    marks = FIGURES["honest"].draw(many).axes[0].get_legend_handles_labels()[1]
    assert marks == ["clean", "worst case"]
    assert "under every level of attacker knowledge" in FIGURES["honest"].caption(few)
    assert "Accuracy without an attack" in FIGURES["honest"].caption(many)

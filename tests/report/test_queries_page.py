"""Attackers who only ask, on the page and in the figure: a record made by hand, read back."""

from __future__ import annotations

import numpy as np
import pytest

from alp.errors import RecordError
from alp.records import Record, conclude, write
from alp.records.queries import best_attacker
from alp.report import write_report
from alp.report.figures import FIGURES
from alp.report.queries import sentence

MARKS = (0, 10, 30, 100)
COUNT, ROUNDS = 200, 2
NAMES = ("square x1", "square x4", "rays x1")
LEFT = {"square x1": (200, 160, 100, 60), "square x4": (200, 200, 120, 40), "rays x1": 4 * (190,)}
"""Attacker to the images of 200 that are right at each checkpoint, the same in all predictions."""


def asked(name: str = "plain", left=LEFT, marks=MARKS, **header) -> Record:
    columns = {
        "index": np.arange(COUNT),
        "label": np.zeros(COUNT, np.int64),
        "clean_select": np.full(COUNT, ROUNDS, np.int16),
        "clean_fresh": np.full(COUNT, ROUNDS, np.int16),
    }
    for attacker, numbers in left.items():
        for mark, number in zip(marks, numbers, strict=True):
            right = np.where(np.arange(COUNT) < number, ROUNDS, 0).astype(np.int16)
            columns[f"{attacker} {mark}_select"] = right
            columns[f"{attacker} {mark}_fresh"] = np.where(right < ROUNDS, right, -1)
    return Record(
        {
            "kind": "queries",
            "name": name,
            "trial": 0,
            "seed": 7,
            "batch_size": 50,
            "draws": 20,
            "images": COUNT,
            "data": {"name": "cifar10", "split": "test"},
            "data_digest": "d1" * 32,
            "threat": {"name": "linf", "eps": 8 / 255},
            "suite": "queries",
            "queries": 100,
            "checkpoints": list(marks),
            "evaluations": ROUNDS,
            "surrogates": ["public"],
            "attackers": [
                {
                    "name": each,
                    "label": each.split()[0],
                    "sees": "labels" if each[0] == "r" else "scores",
                    "answers": int(each[-1]),
                    "surrogate": "",
                    "attack": {"name": each.split()[0], "queries": 25},
                }
                for each in NAMES
            ],
            "knowledge": {"scores": "sees scores", "labels": "sees labels"},
            "weights": {"model": "c1" * 32},
            "versions": {"alp": "0.1.0"},
            "sigma": None,
            "latency": {},
            "warnings": [],
            **header,
        },
        columns,
    )


def test_the_best_attacker_changes_with_the_number_of_queries() -> None:
    curve = conclude(asked())["curve"]
    assert [row["value"] for row in curve] == [0.95, 0.8, 0.5, 0.2]
    told = [(row["attacker"], row["answers"]) for row in curve]
    assert told == [("rays", 1), ("square", 1), ("square", 1), ("square", 4)]
    assert conclude(asked())["half"] == 30
    low, high = curve[2]["low"], curve[2]["high"]
    assert (low, high) == (pytest.approx(0.4313, abs=1e-3), pytest.approx(0.5687, abs=1e-3))


def test_attackers_who_see_labels_are_told_from_those_who_see_scores() -> None:
    attacker, judged = best_attacker(asked(), 100, sees="labels")
    assert (attacker["name"], judged.mean()) == ("rays x1", 0.95)
    attacker, judged = best_attacker(asked(), 100, sees="scores")
    assert (attacker["name"], judged.mean()) == ("square x4", 0.2)
    record = asked()
    for each in record.header["attackers"]:
        each["sees"] = "scores"
    with pytest.raises(RecordError, match="no attacker sees 'labels' of an answer; give scores"):
        best_attacker(record, 100, sees="labels")


def test_a_lucky_selection_is_judged_by_fresh_predictions() -> None:
    """Chosen by the selecting predictions; what counts is what the fresh ones say."""
    record = asked()
    lucky = {**record.columns, "rays x1 100_select": np.zeros(COUNT, np.int16)}
    lucky["rays x1 100_fresh"] = np.full(COUNT, ROUNDS, np.int16)
    attacker, judged = best_attacker(Record(record.header, lucky), 100)
    assert attacker["name"] == "rays x1"
    assert judged.mean() == 1


def test_a_sentence_says_what_is_left_and_when_half_is_gone() -> None:
    words = sentence(conclude(asked())).replace("\u202f", " ").replace("\u2013", "-")
    assert words == (
        "plain: after 100 queries of the best attacker (square, 4 answers a question) 20.0 % is "
        "left (95 % interval 15.0-26.1) of 100.0 % clean; half of it is gone at 30"
    )
    strong = sentence(conclude(asked(left=dict.fromkeys(NAMES, 4 * (190,)))))
    assert strong.endswith("more than half of it is left after 100")


def test_attackers_who_have_another_model_are_told_from_those_who_have_none(tmp_path, page) -> None:
    """Whoever has a public classifier starts from what fools it."""
    record = asked()
    for each in record.header["attackers"]:
        each["surrogate"] = "public" if each["name"] == "square x4" else ""
    told = conclude(record)
    assert [row["value"] for row in told["curve"]] == [0.95, 0.8, 0.5, 0.2]
    assert [row["value"] for row in told["alone"]][:3] == [0.95, 0.8, 0.5]
    assert told["alone"][-1]["value"] > 0.2
    left = round(100 * told["alone"][-1]["value"])
    assert f"without another model to start from leave {left}.0" in sentence(told)
    assert conclude(asked())["alone"] == []
    with pytest.raises(RecordError, match=r"no attacker starts from 'other'; .*: public"):
        best_attacker(record, 100, start="other")
    write(record, tmp_path / "records" / "plain")
    write_report(tmp_path, tmp_path / "report.html")
    both, alone = page((tmp_path / "report.html").read_text("utf-8")).tables[0]
    assert both["100"][0] == "20.0 %"
    assert alone["100"][0] == f"{left}.0 %"
    assert "attackers without another model" in " ".join(alone["name"])


def test_the_page_has_the_curve_the_table_and_the_differences(tmp_path, page) -> None:
    for name, left in {"plain": LEFT, "better": dict.fromkeys(NAMES, 4 * (190,))}.items():
        write(asked(name, left), tmp_path / "records" / name)
    written = write_report(tmp_path, tmp_path / "report.html")
    assert not written.refused
    assert [path.stem for path in written.figures] == 3 * ["queries"]
    shown = page((tmp_path / "report.html").read_text("utf-8"))
    (table,) = shown.tables
    rows = {row["name"][0]: row for row in table}
    assert rows["plain"]["30"] == ["50.0 %", "43.1\u201356.9", "square, k = 1"]
    assert rows["better"]["100"][0] == "95.0 %"
    assert "plain keeps \u221275.0 points against better after 100 queries" in shown.text
    assert "sees labels" in shown.text
    assert "svg" in shown.tags


def test_models_on_other_images_are_not_drawn_together(tmp_path) -> None:
    with pytest.raises(RecordError, match="differ in data_digest"):
        FIGURES["queries"].draw([asked(), asked("other", data_digest="e2" * 32)])
    for name, digest in {"a": "d1", "b": "e2"}.items():
        write(asked(name, data_digest=32 * digest), tmp_path / name)
    assert write_report(tmp_path, tmp_path / "report.html").refused


def test_a_record_that_lacks_a_column_is_refused(tmp_path) -> None:
    whole = asked()
    short = {name: each for name, each in whole.columns.items() if name != "rays x1 30_fresh"}
    write(Record(whole.header, short), tmp_path / "short")
    (why,) = write_report(tmp_path, tmp_path / "report.html").refused
    assert "lacks rays x1 30_fresh; evaluate again" in why


@pytest.mark.parametrize(
    ("marks", "shown"),
    [
        (MARKS, ["0", "10", "30", "100"]),
        ((0, 10, 30, 100, 300, 1000, 3000), ["0", "10", "100", "1,000"]),
    ],
)
def test_many_numbers_of_queries_leave_room_for_their_names(marks, shown) -> None:
    record = asked(left=dict.fromkeys(NAMES, len(marks) * (190,)), marks=marks)
    axes = FIGURES["queries"].draw([record]).axes[0]
    assert [each.get_text() for each in axes.get_xticklabels()] == shown
    assert axes.get_xlim()[0] == 0

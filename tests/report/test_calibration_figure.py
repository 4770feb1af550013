"""Calibration and training curves, read back from their axes and on the page."""

from __future__ import annotations

import json

import numpy as np
import pytest

from alp.records import Record, write
from alp.report import write_report
from alp.report.figures import FIGURES
from alp.report.trainings import read_trainings

IMAGES = 200
ENTRY = {
    "name": "eot pgd", "level": "eot", "closing": False, "draws": 4, "objective": "loss",
    "surrogate": "", "attack": {"name": "pgd", "steps": 5},
}  # fmt: skip


def verdict(confident=True) -> Record:
    """Clean: sure by 0.9 and always right. Attacked: as sure, and right on every fourth image."""
    right = np.where(np.arange(IMAGES) % 4 == 0, 1, 0)
    columns = {
        "clean_select": np.ones(IMAGES, int), "clean_fresh": np.ones(IMAGES, int),
        "psnr": np.full(IMAGES, 26.0), "eot pgd_attacked": np.ones(IMAGES, bool),
        "eot pgd_select": right, "eot pgd_fresh": np.where(right == 1, -1, 0),
    }  # fmt: skip
    if confident:
        columns["clean_confidence"] = np.full(IMAGES, 0.9)
        columns["eot pgd_confidence"] = np.where(right == 1, np.nan, 0.9)
    header = {
        "kind": "verdict", "name": "toy" if confident else "earlier", "trial": 0, "seed": 3,
        "draws": 4, "images": IMAGES, "data": {"name": "cifar10", "split": "test"},
        "data_digest": "d1" * 32, "threat": {"name": "linf", "eps": 8 / 255}, "suite": "quick",
        "evaluations": 1, "entries": [ENTRY], "knowledge": {"eot": "the mean over draws"},
        "weights": {"model": "c1" * 32}, "sigma": 0.6, "checks": [], "warnings": [],
    }  # fmt: skip
    return Record(header, columns)


def test_the_diagram_has_each_bin_and_the_caption_each_error() -> None:
    figure = FIGURES["calibration"].draw([verdict()])
    clean, worst = figure.axes
    for axes, accuracy in ((clean, 100), (worst, 25)):
        (line,) = (each for each in axes.get_lines() if each.get_label() == "toy")
        assert line.get_xdata() == pytest.approx([90])
        assert line.get_ydata() == pytest.approx([accuracy])
    words = FIGURES["calibration"].caption([verdict()])
    assert "clean 10.0 % (" in words
    assert "worst case 65.0 % (" in words


def test_records_without_confidences_are_shown_without_it(tmp_path, page) -> None:
    write(verdict(confident=False), tmp_path / "records" / "earlier")
    written = write_report(tmp_path, tmp_path / "report.html")
    assert not written.refused
    assert not any("calibration" in path.name for path in written.figures)
    write(verdict(), tmp_path / "records" / "toy")
    written = write_report(tmp_path, tmp_path / "report.html")
    assert not written.refused
    assert "calibration.svg" in {path.name for path in written.figures}
    assert "Expected calibration error" in page(written.page.read_text("utf-8")).text


@pytest.fixture
def training(tmp_path):
    told = {
        "stage": "PurifierStage", "data": "shapes", "seed": 0, "steps": 4, "seconds": 1.5,
        "precision": "32-true", "device": "cpu", "weights_digest": "a1" * 32,
        "curve": {"step": [2.0, 4.0], "mse": [0.2, 0.1], "loss": [3.0, 2.0], "sigma": [0.5, 0.4]},
    }  # fmt: skip
    path = tmp_path / "run" / "training.json"
    path.parent.mkdir()
    path.write_text(json.dumps(told))
    return path


def test_a_training_has_a_panel_for_each_scalar(training) -> None:
    ((kept,), _) = read_trainings(training.parents[1])
    figure = FIGURES["training"].draw([kept.record])
    shown = {axes.get_title(): axes.get_lines() for axes in figure.axes if axes.get_title()}
    assert list(shown) == ["loss", "mse", "sigma"]
    (line,) = shown["loss"]
    assert (line.get_xdata().tolist(), line.get_ydata().tolist()) == ([2, 4], [3, 2])


def test_the_page_has_the_curves_and_names_what_is_no_training(training, page) -> None:
    folder = training.parents[1]
    damaged = folder / "other" / "training.json"
    damaged.parent.mkdir()
    damaged.write_text('{"curve": 3}')
    written = write_report(folder, folder / "report.html")
    assert "run-training.svg" in {path.name for path in written.figures}
    assert written.records == ("run/training.json",)
    (why,) = written.refused
    assert "other/training.json" in why
    text = page(written.page.read_text("utf-8")).text
    assert "Purifier on shapes, 4 steps" in text
    assert why.split(" (")[0] in text


def test_of_many_the_best_are_drawn() -> None:
    """As many as lines can be told apart; of what is left out the caption says so."""
    records = []
    for number in range(9):
        made = verdict()
        columns = dict(made.columns)
        if number in (2, 5):  # nothing is left of these
            columns["eot pgd_select"] = np.zeros(IMAGES, int)
            columns["eot pgd_fresh"] = np.zeros(IMAGES, int)
        records.append(Record({**made.header, "name": f"model {number}"}, columns))
    figure = FIGURES["calibration"].draw(records)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == [f"model {number}" for number in (0, 1, 3, 4, 6, 7)]
    words = FIGURES["calibration"].caption(records)
    assert words.startswith("The 6 of 9 with the highest worst case.")
    assert "model 2" not in words

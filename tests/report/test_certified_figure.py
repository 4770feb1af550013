"""The figure of certificates says what the records do."""

from __future__ import annotations

import numpy as np
import pytest

from alp.records import Record, write
from alp.report import write_report
from alp.report.figures import FIGURES
from alp.report.figures.certified import caption


@pytest.fixture
def record() -> Record:
    header = {
        "kind": "certificate", "name": "certified", "sigma": 0.25, "radii": [0.0, 0.25],
        "alpha": 0.001, "budget": 1000, "method": "anytime", "precision": "float32", "seed": 0,
        "data": {"name": "toy"}, "images": 4, "shape": [3, 2, 2],
    }  # fmt: skip
    columns = {
        "index": np.arange(4), "label": np.array([0, 0, 1, 1]), "selected": np.array([0, 0, 1, 0]),
        "draws": np.array([128, 256, 1024, 1024]),
        "radius": np.array([0.3, 0.1, np.nan, 0.5]), "refuted": np.full(4, np.inf),
        "stopped": np.array(["settled", "settled", "budget", "budget"]),
        "votes_0": np.array([128, 200, 500, 1000]), "votes_1": np.array([0, 56, 524, 24]),
    }  # fmt: skip
    return Record(header, columns)


def test_the_curve_counts_only_right_and_certified_images(record) -> None:
    axes = FIGURES["certificates"].draw([record]).axes[0]
    marks = axes.lines[1]
    assert marks.get_xdata().tolist() == [0, 0.25]
    assert marks.get_ydata().tolist() == [50, 25]


def test_the_caption_has_the_numbers(record) -> None:
    words = caption([record])
    assert "50.0 %" in words
    assert "25.0 %" in words
    assert "608 votes an image" in words


def test_the_report_shows_it(record, tmp_path) -> None:
    write(record, tmp_path / "records" / "certified")
    written = write_report(tmp_path, tmp_path / "report.html")
    assert written.records == ("records/certified.json",)
    assert not written.refused
    assert "What is certified" in written.page.read_text("utf-8")

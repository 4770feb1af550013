"""Records made by hand, and the page read back as a browser would."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest

from alp.records import Record

IMAGES = 200


def _correct(share):
    return np.arange(IMAGES) < share * IMAGES


@pytest.fixture
def make_record():
    def make(name="A-ALP + AT", *, clean=0.8, psnr=25.0, single=0.3, masked=0.6, **header):
        levels = {"single": single, "masked": masked}
        return Record(
            {
                "kind": "robustness",
                "name": name,
                "trial": 0,
                "seed": 7,
                "draws": 20,
                "images": IMAGES,
                "data": {"name": "cifar10", "split": "test"},
                "data_digest": "d1" * 32,
                "threat": {"name": "linf", "eps": 8 / 255},
                "attack": {"name": "pgd", "steps": 7, "step_size": 2 / 255, "restarts": 1},
                "knowledge": {level: f"the words of {level}" for level in levels},
                "weights": {"classifier": "c1" * 32},
                "versions": {"alp": "0.1.0"},
                "sigma": 0.2,
                "latency": {"predict": {"median_ms": 13.5}, "images": 1, "device": "cpu"},
                "warnings": [],
                **header,
            },
            {
                "clean_correct": _correct(clean),
                "psnr": np.full(IMAGES, psnr, np.float32),
                "ssim": np.full(IMAGES, 0.9, np.float32),
                **{f"{level}_correct": _correct(share) for level, share in levels.items()},
                **{f"{level}_zero_gradient": _correct(0) for level in levels},
            },
        )

    return make


class Page(HTMLParser):
    """The elements, the text and the rows of the result tables of a page."""

    def __init__(self, html):
        super().__init__()
        self.html = html
        self.tags, self.attributes, self.text, self.tables = [], [], "", []
        self._column = None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        found = dict(attributes)
        if tag == "table" and {"results", "claims"} & set((found.get("class") or "").split()):
            self.tables.append([])
        elif tag == "th" and found.get("scope") == "row":
            self.tables[-1].append({})
            self._column = "name"
        elif tag == "td":
            self._column = found.get("data-label")
        elif tag == "style":
            self._column = "style"

    def handle_endtag(self, tag):
        if tag in ("th", "td", "style"):
            self._column = None

    def handle_data(self, data):
        words = " ".join(data.replace("\u202f", " ").split())
        if not words or self._column == "style":
            return
        self.text += f" {words}"
        if self._column:
            self.tables[-1][-1].setdefault(self._column, []).append(words)


@pytest.fixture
def page():
    return Page

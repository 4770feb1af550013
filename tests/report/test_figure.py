from __future__ import annotations

import re
import warnings
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alp.records.statistics import wilson
from alp.report.tables import bars, sections

SVG = "{http://www.w3.org/2000/svg}"


def _svg(*records, published=None):
    (section,), refused = sections(records, published or {})
    assert refused == []
    return bars(section, published or {})


def _texts(svg):
    return ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_every_bar_is_labelled_with_its_value(make_record):
    texts = _texts(_svg(make_record(), make_record("AT", single=0.45)))
    assert [text for text in texts if text in ("A-ALP + AT", "AT")] == ["A-ALP + AT", "AT"]
    assert texts.count("single") == texts.count("clean") == texts.count("worst case") == 2
    assert {"30.0", "45.0", "60.0", "80.0"} <= set(texts)


def test_a_level_that_was_not_measured_has_no_bar(make_record):
    both = _texts(_svg(make_record(), make_record("AT")))
    one = _texts(_svg(make_record(), make_record("AT", knowledge={"single": "words"})))
    assert both.count("60.0") == 2
    assert one.count("60.0") == 1


def test_bars_lines_and_diamonds_are_where_the_numbers_are(make_record):
    """Places are read against the axis' own labels."""
    svg = _svg(
        make_record(clean=0.5, single=0.25, masked=0.75),
        published={"A-ALP + AT": {"single": 0.1}},
    )
    root = ElementTree.fromstring(svg)
    ticks = {node.text: float(node.get("x")) for node in root.iter(f"{SVG}text")}
    left, right = ticks["0 %"], ticks["100 %"]
    spans = {"bar": [], "line": []}
    for node in root.iter(f"{SVG}path"):
        style = node.get("style") or ""
        kind = "bar" if "opacity: 0." in style else "line" if "stroke-width: 1.2" in style else None
        if kind and "stroke-opacity" not in style:
            places = [float(x) for x in re.findall(r"[ML] ([\d.]+)", node.get("d"))]
            share = [(place - left) / (right - left) for place in (min(places), max(places))]
            spans[kind].append(share)
    expected = [0.5, 0.25, 0.75, 0.25]
    assert spans["bar"] == [pytest.approx((0, value), abs=1e-4) for value in expected]
    assert spans["line"] == [pytest.approx(wilson(200 * v, 200), abs=1e-4) for v in expected]
    (diamond,) = root.iter(f"{SVG}use")
    assert (float(diamond.get("x")) - left) / (right - left) == pytest.approx(0.1, abs=1e-4)


def test_the_figure_is_readable_on_white_and_on_black(make_record):
    svg = _svg(make_record(), published={"A-ALP + AT": {"single": 0.32}})
    assert svg.startswith("<svg")
    assert "currentColor" in svg
    assert "#010203" not in svg
    assert "#000000" not in svg
    assert "#ffffff" not in svg
    assert ElementTree.fromstring(svg).get("width") is None, "as wide as its place"


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=60))
def test_any_name_is_drawn_as_it_is(make_record, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        texts = _texts(_svg(make_record(name)))
    shown = name if len(name) <= 40 else name[:39] + "…"
    assert not shown.strip() or shown in texts


@pytest.mark.parametrize("name", ["$\\frac{$", "a_b^c", "x" * 200, "two\nlines", "\x00\x1b"])
def test_odd_names_do_not_break_the_figure(make_record, name):
    assert _svg(make_record(name)).endswith("</svg>\n")

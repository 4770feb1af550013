"""Claims of how far trials are apart, on records made by hand."""

from __future__ import annotations

import pytest
from made import found, kept, points


def test_the_deviation_of_each_record_of_the_trials_counts(make_record) -> None:
    """At their learned noise level and at one radius; both records say how many images they have.
    Of three trials the interval is 0.52 to 6.28 times the deviation."""
    usual = 8 / 255
    table = [
        kept(make_record(single=share, trial=n), "hierarchy", n)
        for n, share in enumerate((0.3, 0.31, 0.32))
    ]
    others = [("single", usual, 0.1, 0.9, 20.0), ("single", 2 / 255, None, 0.9, 20.0)]
    figure = [
        points("reliability", [("single", usual, None, share, 20.0), *others], trial=n)
        for n, share in enumerate((0.3, 0.33, 0.36))
    ]
    first, second = found([*table, *figure], "hierarchy.a-alp-at.sd").findings
    assert first.protocol == "single, 200 images"
    assert (first.value, first.holds) == (pytest.approx(1), True)
    assert first.interval == "0.52 to 6.28"
    assert second.protocol == "single, 200 images, reliability"
    assert (second.value, second.holds) == (pytest.approx(3), False)
    assert found([*table[:1], *figure[:1]], "hierarchy.a-alp-at.sd").findings == ()

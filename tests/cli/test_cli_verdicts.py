"""Lengths of time in words."""

from __future__ import annotations

import pytest

from alp.cli.tables import span


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 second"), (59, "59 seconds"), (89, "89 seconds"), (120, "2 minutes"),
     (5300, "88 minutes"), (7200, "2 hours"), (400_000, "5 days")],
)  # fmt: skip
def test_a_length_of_time_in_words(seconds: float, words: str) -> None:
    assert span(seconds) == words

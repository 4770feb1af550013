"""What several commands say in the same words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from alp.report.format import count, threat_words


def labelled(label: str, texts: Iterable[str]) -> Iterator[str]:
    """Lines of ``texts``, the first of which has the label before it."""
    for number, text in enumerate(texts):
        yield f"{'' if number else label:<11}{text}"


def protocol_lines(header: Mapping[str, Any], more: str = "") -> Iterator[str]:
    """Which images were attacked, with ``more`` about them, and how far."""
    data = header["data"]
    yield f"images     {header['images']:,} of {data['name']} ({data['split']}){more}"
    yield f"threat     {threat_words(header['threat'])}"


def span(seconds: float) -> str:
    """A length of time in the unit that people would use for it."""
    for limit, size, unit in ((90, 1, "second"), (5400, 60, "minute"), (172800, 3600, "hour")):
        if seconds < limit:
            return count(max(1, round(seconds / size)), unit)
    return count(round(seconds / 86400), "day")

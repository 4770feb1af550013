"""The claims of a paper as a part of the page. Who judges them is no matter of the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["reproduced", "only", "by construction", "not reproduced", "not measured"]

MARKS: dict[Status, str] = {
    "reproduced": "✓",
    "only": "◐",
    "by construction": "≡",
    "not reproduced": "✗",
    "not measured": "\u2013",
}
"""Status to the sign for it, the best first."""

OWN = "Our reading"
"""The place of a claim that is not the paper's: no total of the paper's claims counts it."""

_IN_TOTAL = {"only": "true of some measurements", "by construction": "true by construction"}


@dataclass(frozen=True)
class Finding:
    """A claim measured under one protocol."""

    protocol: str
    """Under which, in a few words; empty where there is only one."""
    value: float
    """The measurement, in the claim's unit."""
    words: str
    """The same as text."""
    interval: str
    """Its 95 % interval, or its deviation over trials, as text; empty where it has none."""
    holds: bool
    """Whether the claim is true of it."""
    records: tuple[str, ...]
    """The paths of the records it was measured on."""


@dataclass(frozen=True)
class Judged:
    """A claim, and what the records say of it."""

    id: str
    """Its name."""
    sentence: str
    """What is claimed."""
    place: str
    """Where the paper says so."""
    published: str
    """The published value as text."""
    value: float | None
    """The same as a number, None for a claim without one."""
    holds: str
    """When a measurement counts as the claim's, in words."""
    measure: str
    """How to measure it, for a claim that no record is about."""
    findings: tuple[Finding, ...]
    """The measurements, in the order of the claim's protocols and experiments."""
    by_construction: str = ""
    """Why a measurement that agrees says nothing for the claim; empty where it does."""
    note: str = ""
    """What to know of the measurements."""

    @property
    def status(self) -> Status:
        """Whether it is true of all, of some, or of none of the measurements."""
        if not self.findings:
            return "not measured"
        true = sum(each.holds for each in self.findings)
        if true == len(self.findings):
            return "by construction" if self.by_construction else "reproduced"
        return "only" if true else "not reproduced"

    @property
    def verdict(self) -> str:
        """The status in words, with the protocols under which the claim is true, or, where they are
        the most, those under which it is not."""
        if self.status == "by construction":
            return "true by construction"
        if self.status != "only":
            return self.status
        true, false = (
            [f"`{each.protocol}`" for each in self.findings if each.holds is holds]
            for holds in (True, False)
        )
        if len(true) > len(false):
            return f"true, but not under {'; '.join(false)}"
        return f"true only under {'; '.join(true)}"

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {**asdict(self), "status": self.status, "verdict": self.verdict}


def totals(judged: Sequence[Judged]) -> list[tuple[Status, str]]:
    """Each status that claims of the paper have, with its number in words: ``3 reproduced``."""
    found = Counter(each.status for each in judged if each.place != OWN)
    return [
        (status, f"{found[status]} {_IN_TOTAL.get(status, status)}")
        for status in MARKS
        if found[status]
    ]


def claims_part(
    judged: Sequence[Judged], readings: Sequence[tuple[str, str]] = ()
) -> dict[str, Any]:
    """The claims as the template sees them."""
    rows: list[dict[str, Any]] = [
        {
            "claim": each,
            "status": each.status,
            "order": number,
            "rank": list(MARKS).index(each.status),
            "measured": each.findings[0].value if each.findings else None,
            "records": list(dict.fromkeys(path for f in each.findings for path in f.records)),
        }
        for number, each in enumerate(judged)
    ]
    own = [row for row in rows if row["claim"].place == OWN]
    groups: list[dict[str, Any]] = [
        {
            "status": status,
            "words": words,
            "rows": [row for row in rows if row["status"] == status and row not in own],
        }
        for status, words in totals(judged)
    ]
    groups += [{"status": row["status"], "words": "our own reading", "rows": [row]} for row in own]
    return {
        "marks": MARKS,
        "count": len(rows),
        "groups": groups,
        "rows": rows,
        "readings": readings,
    }

"""The published numbers (claims.json), in the units of the tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

DATA = "cifar10"
"""The data set of every published number: beside another one's they would mislead."""

LEVEL = "single"
"""The attacker knowledge that the paper's robust accuracies are for: gradients of one draw."""

_COLUMNS = {"robust": LEVEL, "latency": "latency_ms"}


@dataclass(frozen=True)
class Claim:
    """One published number."""

    id: str
    """Its name."""
    place: str
    """Table or figure of the paper."""
    row: str
    """The defence."""
    column: str
    """``robust``, ``psnr``, ``sigma`` or ``latency``."""
    value: float
    """As published."""
    unit: str
    """The unit of ``value``."""
    sd: float | None = None
    """Its published deviation over trials."""


def claims() -> list[Claim]:
    """Every published number, in the order of the file."""
    text = files("alp.paper").joinpath("claims.json").read_text("utf-8")
    return [Claim(**values) for values in json.loads(text)["claims"]]


def published(data: str, knowledge: Sequence[str]) -> dict[str, dict[str, float]]:
    """Row to column to published value, accuracies in [0,1]: what a table of measurements on
    ``data`` at these levels of ``knowledge`` prints beside them. Empty for other data."""
    found: dict[str, dict[str, float]] = {}
    if data != DATA:
        return found
    for claim in claims():
        column = _COLUMNS.get(claim.column, claim.column)
        if column != LEVEL or LEVEL in knowledge:
            value = claim.value / 100 if claim.unit == "%" else claim.value
            found.setdefault(claim.row, {})[column] = value
    return found

"""The published claims and our readings of them (claims.json), and the numbers among the claims
in the units of the tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

DATA = "cifar10"
"""The data set of every published number: beside another one's they would mislead."""

LEVEL = "single"
"""The attacker knowledge that the paper's robust accuracies are for: gradients of one draw."""

_COLUMNS = {"robust": LEVEL, "psnr": "psnr", "sigma": "sigma"}


@dataclass(frozen=True)
class Claim:
    """One claim of the paper."""

    id: str
    """Its name."""
    sentence: str
    """What is claimed, in our words."""
    place: str
    """Table, figure or part of the paper."""
    items: tuple[str, ...]
    """The experiments whose records it is measured on."""
    quantity: str
    """What is measured (a name in :data:`alp.experiments.measures.MEASURES`)."""
    criterion: Literal["about", "at least", "at most", "between", "more than"]
    """How the measurement has to compare with ``value``; ``about``: within ``tolerance``;
    ``between``: from ``value`` to ``upper``."""
    value: float
    """As published; for a claim in words (``stated``) the bound that we read into them."""
    unit: str
    """The unit of ``value`` and of ``tolerance``."""
    tolerance: float = 0.0
    """How far from ``value`` a measurement may be that is ``about`` it."""
    upper: float | None = None
    """The upper bound of a claim that gives a range."""
    row: str = ""
    """The defence that it is about."""
    against: str = ""
    """The defence that it is compared with."""
    attack: str = ""
    """The attack that it is about, by its registered name."""
    sd: float | None = None
    """Its published deviation over trials."""
    stated: str = ""
    """What the paper says where that is no number, paraphrased."""
    protocols: tuple[str, ...] = ()
    """What the attacker knows, in the order of the page; the paper's own protocol first."""
    setting: dict[str, float] | None = None
    """Where it is measured: ``eps``, ``sigma``, widths; or the published ends of a curve."""
    by_construction: str = ""
    """Why a measurement says nothing for the claim although it agrees; empty where it does."""
    note: str = ""
    """What to know of the measurement."""


@cache
def claims() -> tuple[Claim, ...]:
    """Every claim, in the order of the file."""
    return tuple(_claim(values) for values in _file()["claims"])


@cache
def readings() -> tuple[tuple[str, str], ...]:
    """What the paper writes that can be read in several ways, and how we read it."""
    return tuple((each["written"], each["read"]) for each in _file()["readings"])


def _file() -> dict[str, Any]:
    text = files("alp.experiments").joinpath("claims.json").read_text("utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def _claim(values: dict[str, Any]) -> Claim:
    lists: dict[str, Any] = {
        key: tuple(values[key]) for key in ("items", "protocols") if key in values
    }
    return Claim(**(values | lists))


def published(data: str, knowledge: Sequence[str]) -> dict[str, dict[str, float]]:
    """Row to column to published value, accuracies in [0,1]: what a table of measurements on
    ``data`` at these levels of ``knowledge`` prints beside them. Empty for other data."""
    found: dict[str, dict[str, float]] = {}
    if data != DATA:
        return found
    for claim in claims():
        column = _COLUMNS.get(claim.quantity)
        if column and (column != LEVEL or LEVEL in knowledge):
            value = claim.value / 100 if claim.unit == "%" else claim.value
            found.setdefault(claim.row, {})[column] = value
    return found

"""Measures of what the works behind the paper found, on its own defences."""

from __future__ import annotations

from collections.abc import Iterator

from alp.experiments.claims import Claim
from alp.experiments.measures.base import Runs, Value, difference, named
from alp.records import KIND_VERDICT, Kept, worst

ITEM = "attacks"


def harm(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that an attack alone takes from a row, by the norm of its threat: Linf first."""
    records = named(runs.get(ITEM, ()), claim.row)
    verdicts = [each for each in records if each.record.kind == KIND_VERDICT]
    for each in sorted(verdicts, key=_norm, reverse=True):
        header, columns = each.record.header, each.record.columns
        for entry in header["entries"]:
            if entry["attack"]["name"] == claim.attack:
                rounds = header["evaluations"]
                left = worst(columns, [entry["name"]], rounds)
                clean = columns["clean_fresh"] / rounds
                yield difference(_norm(each), clean, left, [each])


def _norm(kept: Kept) -> str:
    return str(kept.record.header["threat"]["name"])

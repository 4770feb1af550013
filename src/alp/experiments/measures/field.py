"""Measures of what the works behind the paper found, on its own defences."""

from __future__ import annotations

from collections.abc import Iterator

from alp.experiments.claims import Claim
from alp.experiments.measures.base import Runs, Value, difference, named
from alp.records import KIND_VERDICT, worst

ITEM = "attacks"


def harm(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that an attack alone takes from a row, by the norm of its threat."""
    for each in named(runs.get(ITEM, ()), claim.row):
        header, columns = each.record.header, each.record.columns
        if each.record.kind != KIND_VERDICT:
            continue
        for entry in header["entries"]:
            if entry["attack"]["name"] == claim.attack:
                rounds = header["evaluations"]
                left = worst(columns, [entry["name"]], rounds)
                clean = columns["clean_fresh"] / rounds
                yield difference(header["threat"]["name"], clean, left, [each])

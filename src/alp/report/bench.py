"""Bench records as parts of the page: what a prediction costs, beside baselines of its run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from alp.records import Kept
from alp.report.format import count
from alp.report.refusal import Refused, sifted
from alp.report.tables import ABSENT

_WHAT = {
    "draw": "one draw",
    "draws": "all draws",
    "consensus": "sequential consensus",
}


def bench_parts(kept: Iterable[Kept]) -> tuple[list[dict[str, Any]], Refused]:
    """A part for each record as the template sees it, and why a record could not be used."""
    good, refused = sifted(kept, _part)
    names = Counter(each.record.name for each in good)
    parts = [_part(each) for each in good]
    for part, each in zip(parts, good, strict=True):
        if names[each.record.name] > 1:  # so that two of one model can be told apart
            part["name"] += f", {each.run}"
    return parts, refused


def _part(kept: Kept) -> dict[str, Any]:
    header, columns = kept.record.header, kept.record.columns
    groups = []
    for batch in np.unique(columns["batch"]):
        rows = [
            _row(about, columns["ms"][mine], columns["draws"][mine], int(batch))
            for name, about in header["contestants"].items()
            if about["what"] != "peak"  # a product of matrices answers no image
            if (mine := (columns["batch"] == batch) & (columns["contestant"] == name)).any()
        ]
        rows.sort(key=lambda row: float(row["median"]))
        groups.append({"batch": count(int(batch), "image"), "rows": rows})
    return {
        "name": header["name"],
        "device": header["device"],
        "rounds": header["rounds"],
        "groups": groups,
        "fastest": _fastest(groups[0]),
        "warnings": {text: [header["name"]] for text in header.get("warnings", [])},
        "record": kept.path,
    }


def _fastest(group: Mapping[str, Any]) -> list[str]:
    """The fastest way to each kind of answer, in words."""
    found: dict[str, str] = {}
    for row in group["rows"]:
        found.setdefault(row["name"], f"{row['name']} {row['cells'][0][1]} ({row['how']})")
    return [found[name] for name in _WHAT.values() if name in found]


def _row(about: Mapping[str, Any], ms: Any, draws: Any, batch: int) -> dict[str, Any]:
    what = about["what"]
    median = float(np.median(ms))
    mean = float(np.mean(draws))
    return {
        "name": about.get("peer") or _WHAT.get(what, what),
        "peer": what == "peer",
        "how": ", ".join(
            str(part)
            for part in (
                about.get("backend"),
                about.get("precision"),
                count(about["threads"], "thread"),
            )
            if part
        ),
        "median": median,
        "cells": [
            ("median of a call", f"{median:,.2f}\u202fms"),
            ("99th percentile", f"{np.percentile(ms, 99):,.2f}\u202fms"),
            ("images a second", f"{1000 * batch / median:,.4g}"),
            ("draws an image", ABSENT if np.isnan(mean) else f"{mean:.1f}"),
        ],
    }

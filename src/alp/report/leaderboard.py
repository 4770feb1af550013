"""The leaderboard: defences of one protocol under one adaptive verdict, with certificates and cost.

A row is a verdict record that says what its defence is; of several records of one model with the
same settings, the one whose checks ran, and of these the one of the most images. Fewer images, a
verdict without checks and attackers that compute in bfloat16 stand beside the others, and the table
says so: attacks and judging are the same. What no record can know, the published number and why it
differs, is in ``leaderboard.json``, by the kind of a defence and by the name of a record, which
adds to the kind's words or replaces them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np

from alp.records import KIND_BENCH, KIND_VERDICT, Kept, Record, conclude
from alp.records.certificates import KIND_CERTIFICATE, summarise_certificates
from alp.report.format import interval, percent, threat_words
from alp.report.tables import ABSENT

RADII = (0.25, 0.5)
"""L2 radii at which certificates are quoted."""

_SAME_ATTACKS = {"unchecked": "quick"}
"""Suites that attack as another does."""


def leaderboards(kept: Iterable[Kept]) -> list[dict[str, Any]]:
    """A leaderboard for each protocol (data, threat, attacks) of two defences or more, as the
    template sees it. Records that cannot be concluded are refused elsewhere."""
    every = list(kept)
    known = json.loads(files("alp.report").joinpath("leaderboard.json").read_text("utf-8"))
    groups: dict[str, dict[str, Kept]] = {}
    for each in every:
        record = each.record
        if record.kind == KIND_VERDICT and record.header.get("defence") and not each.item:
            group = groups.setdefault(_protocol(record.header), {})
            digest, settings = record.header["weights"].get("model"), record.header["defence"]
            model = json.dumps([record.name, digest, settings], sort_keys=True)
            if model not in group or _told(group[model].record) < _told(record):
                group[model] = each
    return [_board([*group.values()], every, known) for group in groups.values() if len(group) > 1]


def _told(record: Record) -> tuple[bool, int]:
    """How much a verdict says: whether its checks ran, and its images."""
    return bool(record.header["checks"]), len(record)


def _protocol(header: Mapping[str, Any]) -> str:
    """What two verdicts have to share to stand in one table."""
    data = {key: header["data"].get(key) for key in ("name", "split")}
    return json.dumps([data, header["threat"], _attacks(header)], sort_keys=True)


def _attacks(header: Mapping[str, Any]) -> str:
    """The suite whose attacks were run."""
    return _SAME_ATTACKS.get(header["suite"], str(header["suite"]))


def _board(
    group: Sequence[Kept], every: Sequence[Kept], known: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    first = group[0].record.header
    conclusions = [conclude(each.record) for each in group]
    # What most attackers apply to has all levels in the suite's order.
    longest = sorted(conclusions, key=lambda each: -len(each["levels"]))
    levels = list(dict.fromkeys(level for each in longest for level in each["levels"]))
    ranked = sorted(
        zip(group, conclusions, strict=True), key=lambda pair: -pair[1]["worst"]["value"]
    )
    return {
        "threat": threat_words(first["threat"]),
        "suite": _attacks(first),
        "data": str(first["data"]["name"]),
        "rows": [
            _row(each.record.header, found, levels, every, known) | {"record": each.path}
            for each, found in ranked
        ],
    }


def _row(
    header: Mapping[str, Any],
    found: Mapping[str, Any],
    levels: Sequence[str],
    every: Sequence[Kept],
    known: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """Heading to text."""
    name, kind = header["name"], header["defence"]["kind"]
    words = {**known.get(kind, {}), **known.get(name, {})}
    passed = sum(check["passed"] for check in found["checks"])
    cells = {
        "parameters": f"{header['defence']['parameters']:,}",
        "training": words.get("cost") or ABSENT,
        "images": f"{header['images']:,}",
        "clean": percent(found["clean"]["value"]),
        **{
            level: percent(found["levels"][level]["value"]) if level in found["levels"] else ABSENT
            for level in levels
        },
        "worst case": f"{percent(found['worst']['value'])} ({interval(found['worst'])})",
        "checks": f"{passed} of {len(found['checks'])}" if found["checks"] else "not run",
        "attackers in": str(header.get("attack_precision", "float32")),
        **{f"certified {radius:g}": _certified(header, radius, every) for radius in RADII},
        "time, one draw of ours = 1": _latency(header, every),
        "published": words.get("published") or ABSENT,
        "why it differs": words.get("reason") or ABSENT,
    }
    title = words.get("title", name)
    alone = header["defence"]["settings"].get("detect") is False
    return {"name": title + (", reformer alone" if alone else ""), "cells": cells}


def _certified(header: Mapping[str, Any], radius: float, every: Sequence[Kept]) -> str:
    """The certified accuracy of the most images with these weights, in records of certificates of
    the same name; votes are told by their weights and noise, since rows of one package share a
    name. Voting stops once the radii that were asked for are decided, so that it says nothing of
    a larger one."""
    votes = header["defence"]["kind"] == "smoothed"
    found = [
        each.record
        for each in every
        if each.record.kind == KIND_CERTIFICATE
        and each.record.header["weights"].get("model") == header["weights"].get("model")
        and (
            each.record.header["sigma"] == header["sigma"]
            if votes
            else each.record.name == header["name"]
        )
        and radius <= max(each.record.header["radii"])
    ]
    if not found:
        return ABSENT
    (row,) = summarise_certificates(max(found, key=len), [radius])["certified"]
    return percent(row["value"])


def _latency(header: Mapping[str, Any], every: Sequence[Kept]) -> str:
    """The median time of the baseline with this name and these settings over that of one draw in
    eager PyTorch, in the same benchmark, at its smallest batch. Of several benchmarks the one that
    timed the most counts, so that the times of a table are of one run as far as they can be."""
    peer = {"what": "peer", "peer": header["name"], "settings": header["defence"]["settings"]}
    benches = [each.record for each in every if each.record.kind == KIND_BENCH]
    for record in sorted(benches, key=lambda each: -len(each.header["contestants"])):
        ours = _median(record, {"what": "draw", "backend": "eager"})
        theirs = _median(record, peer)
        if ours and theirs:
            return f"{theirs / ours:,.1f}"
    return ABSENT


def _median(record: Record, wanted: Mapping[str, Any]) -> float | None:
    """The median time (ms) at the smallest batch of the first contestant that is ``wanted``."""
    columns = record.columns
    smallest = columns["batch"] == columns["batch"].min()
    for contestant, about in record.header["contestants"].items():
        mine = smallest & (columns["contestant"] == contestant)
        if wanted.items() <= about.items() and mine.any():
            return float(np.median(columns["ms"][mine]))
    return None

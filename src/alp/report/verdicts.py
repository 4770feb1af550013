"""Verdict records as parts of the page: every level of knowledge, the worst case, the checks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from alp.records import Kept, conclude
from alp.report.format import (
    count,
    entry_words,
    interval,
    percent,
    run_words,
    suite_words,
    threat_words,
)
from alp.report.refusal import Refused, provenance, sifted
from alp.report.tables import ABSENT

_PROTOCOL = ("data", "data_digest", "images", "threat", "suite", "attack_precision")


def verdict_parts(kept: Iterable[Kept]) -> tuple[list[dict[str, Any]], Refused]:
    """A part for each protocol as the template sees it, those with an alarm first, and why a record
    could not be used."""
    good, refused = sifted(kept, lambda each: _part([each]))
    groups: dict[str, list[Kept]] = {}
    for each in good:
        protocol = [each.folder, *(each.record.header.get(key) for key in _PROTOCOL)]
        groups.setdefault(json.dumps(protocol, sort_keys=True), []).append(each)
    parts = [_part(group) for group in groups.values()]
    return sorted(parts, key=lambda part: not part["suspicions"]), refused


def _part(kept: Sequence[Kept]) -> dict[str, Any]:
    headers = [each.record.header for each in kept]
    conclusions = [conclude(each.record) for each in kept]
    first = headers[0]
    # The target that most attackers apply to has all levels in the suite's order.
    longest = sorted(headers, key=lambda header: -len(header["entries"]))
    knowledge: dict[str, str] = {}
    attacks: dict[str, dict[str, None]] = {}
    for header in longest:
        for level, words in header["knowledge"].items():
            knowledge.setdefault(level, words)
        for entry in header["entries"]:
            attacks.setdefault(entry["level"], {})[entry_words(entry, header["threat"])] = None
    found = {level for each in conclusions for level in each["levels"]}
    levels = [level for level in attacks if level in found]
    warnings: dict[str, list[str]] = {}
    for conclusion in conclusions:
        for text in conclusion["warnings"]:
            warnings.setdefault(text, []).append(conclusion["name"])
    # A prediction without randomness needs no repetition.
    evaluations = sorted({header["evaluations"] for header in headers})
    best = max(conclusions, key=lambda each: each["worst"]["value"])
    return {
        "data": f"{first['data']['name']} ({first['data']['split']})",
        "run": run_words(kept[0].run, f"suite {suite_words(first)}", f"{first['images']:,} images"),
        "images": f"{first['images']:,}",
        "threat": threat_words(first["threat"]),
        "suite": suite_words(first),
        "evaluations": " or ".join(count(number, "prediction") for number in evaluations),
        "best": {
            "name": best["name"],
            "value": percent(best["worst"]["value"]),
            "interval": interval(best["worst"]),
            "clean": percent(best["clean"]["value"]),
        },
        "levels": levels,
        "rows": [_row(each, levels) for each in conclusions],
        "suspicions": [
            {"name": each["name"], "words": each["suspicions"]}
            for each in conclusions
            if each["suspicions"]
        ],
        "checks": [_checks(each) for each in conclusions],
        "knowledge": knowledge,
        "attacks": {level: list(words) for level, words in attacks.items()},
        "warnings": warnings,
        "provenance": [provenance(each.record.header, each.path) for each in kept],
    }


def _row(conclusion: Mapping[str, Any], levels: Sequence[str]) -> dict[str, Any]:
    shares = [("clean", conclusion["clean"])]
    shares += [(level, conclusion["levels"].get(level)) for level in levels]
    shares += [
        ("worst case", conclusion["worst"]),
        ("majority", conclusion["majority"]),
        ("right every time", conclusion["worst_of_r"]),
    ]
    passed = sum(check["passed"] for check in conclusion["checks"])
    total = len(conclusion["checks"])
    return {
        "name": conclusion["name"],
        "how": f"{count(conclusion['draws'], 'draw')}, trial {conclusion['trial']}",
        "checks": f"{passed} of {count(total, 'check')} passed" if total else "not checked",
        "cells": [
            {
                "heading": heading,
                "value": ABSENT if share is None else percent(share["value"]),
                "interval": "" if share is None else interval(share),
            }
            for heading, share in shares
        ],
        "passed": passed == total,
    }


def _checks(conclusion: Mapping[str, Any]) -> dict[str, Any]:
    failed = [check for check in conclusion["checks"] if not check["passed"]]
    total = len(conclusion["checks"])
    if failed:
        summary = f"{len(failed)} of {total} checks failed"
    else:  # a suite without checks says nothing for its numbers
        summary = f"all {count(total, 'check')} passed" if total else "not checked"
    return {
        "name": conclusion["name"],
        "trial": conclusion["trial"],
        "summary": summary,
        "failed": bool(failed),
        "checked": bool(total),
        "findings": [
            {**check, "value": _number(check["value"]), "bound": _number(check["bound"])}
            for check in conclusion["checks"]
        ],
    }


def _number(value: float) -> str:
    return f"{value:.3f}".replace("-", "\u2212") if value else "0"

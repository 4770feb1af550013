"""Records of attackers who only ask as parts of the page: what is left after how many questions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from alp.records import Kept, Record, conclude, query_difference
from alp.records.queries import QUOTED, quoted_of
from alp.report.format import asker_words, count, interval, percent, run_words, threat_words
from alp.report.refusal import Refused, provenance, sifted

_PROTOCOL = ("data", "data_digest", "images", "threat", "queries", "attack_precision")


def query_parts(kept: Iterable[Kept]) -> tuple[list[dict[str, Any]], Refused]:
    """A part for each protocol as the template sees it, and why a record could not be used."""
    good, refused = sifted(kept, lambda each: _part([each]))
    groups: dict[str, list[Kept]] = {}
    for each in good:
        protocol = [each.folder, *(each.record.header.get(key) for key in _PROTOCOL)]
        groups.setdefault(json.dumps(protocol, sort_keys=True), []).append(each)
    return [_part(group) for group in groups.values()], refused


def sentence(conclusion: Mapping[str, Any]) -> str:
    """What is left at 1,000 questions, and when half of the clean accuracy is gone."""
    row, half = conclusion["quoted"], conclusion["half"]
    last = conclusion["curve"][-1]["queries"]
    gone = (
        f"more than half of it is left after {last:,}"
        if half is None
        else f"half of it is gone at {half:,}"
    )
    alone = ""
    if conclusion["alone"]:
        left = quoted_of(conclusion["alone"])
        alone = (
            "; attackers without another model to start from leave "
            f"{percent(left['value'])} ({interval(left)})"
        )
    return (
        f"{conclusion['name']}: after {row['queries']:,} queries of the best attacker "
        f"({row['attacker']}, {count(row['answers'], 'answer')} a question) "
        f"{percent(row['value'])} is left (95 % interval {interval(row)}) of "
        f"{percent(conclusion['clean']['value'])} clean; {gone}{alone}"
    )


def differences(records: Sequence[Record]) -> Iterator[str]:
    """How much more of each model is left than of the first, at equal questions, in words."""
    for record in records[1:]:
        first = records[0]
        shared = set(first.header["checkpoints"]) & set(record.header["checkpoints"])
        mark = max(each for each in shared if each <= QUOTED)
        value, ends = query_difference(record, first, mark)
        low, high = (f"{100 * end:+.1f}".replace("-", "\u2212") for end in ends)
        yield (
            f"{record.name} keeps {100 * value:+.1f}".replace("-", "\u2212")
            + f" points against {first.name} after {mark:,} queries (paired 95 % interval {low} "
            f"to {high})"
        )


def _part(kept: Sequence[Kept]) -> dict[str, Any]:
    records = [each.record for each in kept]
    first = records[0].header
    conclusions = [conclude(record) for record in records]
    best = max(conclusions, key=lambda each: float(each["quoted"]["value"]))
    knowledge: dict[str, str] = {}
    attacks: dict[str, None] = {}
    warnings: dict[str, list[str]] = {}
    for record, conclusion in zip(records, conclusions, strict=True):
        knowledge |= record.header["knowledge"]
        attacks |= dict.fromkeys(asker_words(record.header))
        for text in conclusion["warnings"]:
            warnings.setdefault(text, []).append(conclusion["name"])
    return {
        "data": f"{first['data']['name']} ({first['data']['split']})",
        "run": run_words(kept[0].run, f"{first['images']:,} images"),
        "images": f"{first['images']:,}",
        "threat": threat_words(first["threat"]),
        "queries": f"{first['queries']:,}",
        "evaluations": count(max(r.header["evaluations"] for r in records), "prediction"),
        "marks": [f"{row['queries']:,}" for row in conclusions[0]["curve"]],
        "rows": [row for each in conclusions for row in _rows(each)],
        "best": {
            "name": best["name"],
            "value": percent(best["quoted"]["value"]),
            "interval": interval(best["quoted"]),
            "queries": f"{best['quoted']['queries']:,}",
            "clean": percent(best["clean"]["value"]),
        },
        "sentences": [sentence(each) for each in conclusions],
        "differences": list(differences(records)),
        "attackers": [
            {"name": each["name"], "rows": list(_attackers(each))} for each in conclusions
        ],
        "knowledge": knowledge,
        "attacks": list(attacks),
        "warnings": warnings,
        "provenance": [provenance(each.record.header, each.path) for each in kept],
    }


def _rows(conclusion: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What the best attacker leaves, and the best one that has no other model to start from."""
    how = f"{count(conclusion['draws'], 'draw')}, trial {conclusion['trial']}"
    curves = [(how, conclusion["curve"])]
    if conclusion["alone"]:
        curves.append((f"{how}; attackers without another model", conclusion["alone"]))
    for words, curve in curves:
        cells = [("clean", conclusion["clean"], "")]
        cells += [
            (f"{row['queries']:,}", row, f"{row['attacker']}, k = {row['answers']}")
            for row in curve
        ]
        yield {
            "name": conclusion["name"],
            "how": words,
            "cells": [
                {
                    "heading": heading,
                    "value": percent(share["value"]),
                    "interval": interval(share),
                    "attacker": attacker,
                }
                for heading, share, attacker in cells
            ],
        }


def _attackers(conclusion: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every attacker with every number of answers, alone."""
    for label, numbers in conclusion["attackers"].items():
        for answers, curve in numbers.items():
            yield {
                "name": label,
                "answers": answers,
                "cells": [f"{percent(row['value'])} ({interval(row)})" for row in curve],
            }

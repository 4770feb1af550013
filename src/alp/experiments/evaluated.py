"""Which records judge which packaged rows, and what they say."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from alp.evaluation.suites import SUITES
from alp.records import KIND_VERDICT, Record, conclude, robust_share, summarise
from alp.records.certificates import KIND_CERTIFICATE, summarise_certificates
from alp.records.statistics import paired_difference

_TERMS = ("threat", "knowledge", "data", "data_digest", "seed", "device", "versions")
"""What makes a number of a record readable, and two records comparable."""

_COMPARABLE = ("suite", "threat", "data_digest", "seed", "attack_precision")


def evaluations_of(
    rows: Mapping[str, Any], records: Sequence[Record]
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Row to its ``verdicts``, ``protocols`` and ``certificates``, the most thorough first.

    A record belongs to the row whose weights, as trained or as packaged, and whose draws it names;
    ``as_packaged`` says which. A record of none of the rows is warned of and left out.

    Args:
        rows: name to a row of the manifest.

    Raises:
        RecordError: a record is damaged, or of a kind that is no evaluation.
    """
    found: dict[str, dict[str, list[dict[str, Any]]]] = {
        row: {"verdicts": [], "protocols": [], "certificates": []} for row in rows
    }
    for record in records:
        if record.kind == KIND_CERTIFICATE:
            for row in rows:
                if record.header["weights"]["model"] == rows[row]["digest"]:
                    told = {key: record.header[key] for key in ("data", "data_digest", "seed")}
                    found[row]["certificates"].append(told | summarise_certificates(record))
            continue
        told = conclude(record) if record.kind == KIND_VERDICT else summarise(record)
        own = [row for row in rows if _judges(record, rows[row])]
        if not own:
            warnings.warn(
                f"the record {record.name!r} judges other weights than those of the rows, or "
                "another number of draws; it is left out",
                stacklevel=2,
            )
        told |= {key: record.header[key] for key in _TERMS}
        if record.kind == KIND_VERDICT:
            told["attacks"] = [each["name"] for each in record.header["entries"]]
        else:
            told["attack"] = record.header["attack"]
        for row in own:
            packaged = record.header["weights"]["model"] == rows[row]["digest"]
            place = "verdicts" if record.kind == KIND_VERDICT else "protocols"
            found[row][place].append(told | {"as_packaged": packaged})
    thorough = list(SUITES)
    for each in found.values():
        each["verdicts"].sort(key=lambda told: (-thorough.index(told["suite"]), -told["images"]))
        each["protocols"].sort(key=lambda told: -told["images"])
    return found


def differences(
    rows: Mapping[str, Any], row: str, records: Sequence[Record]
) -> list[dict[str, Any]]:
    """The worst case of ``row`` minus that of every other row that was judged on the same images
    by the same suite, with its paired 95 % interval, in [-1,1]."""
    verdicts = [record for record in records if record.kind == KIND_VERDICT]
    mine = [record for record in verdicts if _judges(record, rows[row])]
    found = []
    for against in rows:
        others = [] if against == row else [r for r in verdicts if _judges(r, rows[against])]
        for first in mine:
            for second in others:
                if not _comparable(first, second):
                    continue
                value, interval = paired_difference(robust_share(first), robust_share(second))
                found.append(
                    {
                        "row": row,
                        "against": against,
                        "suite": first.header["suite"],
                        "images": len(first),
                        "value": value,
                        "low": interval.low,
                        "high": interval.high,
                    }
                )
    return sorted(found, key=lambda each: -each["images"])


def _judges(record: Record, row: Mapping[str, Any]) -> bool:
    made_with = record.header["weights"].get("model")
    known = (row["digest"], row["training"]["weights_digest"])
    return made_with in known and record.header["draws"] == row["draws"]


def _comparable(first: Record, second: Record) -> bool:
    return all(first.header.get(key) == second.header.get(key) for key in _COMPARABLE)

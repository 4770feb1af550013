"""Records of attackers who only ask: accuracy as a function of the number of questions.

A record of the kind ``queries`` has in its header, beside what every evaluation says, ``queries``
(the budget: answers of the deployed model that an attacker may pay for an image), ``checkpoints``
(numbers of answers, from 0 to the budget), ``evaluations`` (R) and ``attackers``, a list of
``name``, ``label`` (what it does), ``sees`` (scores or labels), ``answers`` (k, averaged at each
question), ``surrogate`` and ``attack``. Columns, one row an image: those of the clean image as in a
verdict, and for each attacker and checkpoint c ``<name> c_select`` and ``<name> c_fresh``: how many
of R predictions of the point that it holds after at most c answers are right, on draws that it
never paid for (-1 where nothing was predicted); ``<name>_queries``, the first checkpoint at which
no selecting prediction is right (0 also where the clean image is wrong, -1 where there is none);
``<name>_asked``, the answers that were paid; ``<name>_distance`` of the last point.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alp.errors import RecordError
from alp.records.record import KIND_QUERIES, Record
from alp.records.statistics import (
    Interval,
    accuracy_with_interval,
    few_images,
    paired_difference,
)

QUOTED = 1000
"""Questions after which what is left is said in a sentence."""

_SAME = ("data_digest", "threat", "images")


def left_by(record: Record, attacker: str, queries: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """What ``attacker`` (its name) leaves of each image after ``queries`` answers: the share of
    the selecting predictions that are right, (n,), and that of the fresh ones, which judge, (n,).

    Of the clean image and of the points held at the checkpoints so far the one is taken that the
    selecting predictions have right least often, the last of several.
    """
    columns, rounds = record.columns, record.header["evaluations"]
    lowest = columns["clean_select"].astype(np.int64)
    judged = columns["clean_fresh"].astype(np.int64)
    for mark in record.header["checkpoints"]:
        if mark > queries:
            break
        select = columns[f"{attacker} {mark}_select"]
        better = (select >= 0) & (select < columns["clean_select"]) & (select <= lowest)
        lowest = np.where(better, select, lowest)
        judged = np.where(better, columns[f"{attacker} {mark}_fresh"], judged)
    return lowest / rounds, judged / rounds


def best_attacker(
    record: Record, queries: int, *, start: str | None = None, sees: str | None = None
) -> tuple[dict[str, Any], NDArray[Any]]:
    """The attacker that leaves least after ``queries`` answers, as the header has it, and what it
    leaves of each image, (n,). It is chosen by the selecting predictions and judged by the fresh
    ones: the lowest of several noisy accuracies would flatter it. One attacker attacks all images:
    whoever tries several on an image pays for all of them.

    Args:
        start: only attackers that start from what fools this surrogate; of none for those that
            have nothing but answers, ``""``.
        sees: only attackers who see this of an answer, ``scores`` or ``labels``.

    Raises:
        RecordError: it is no such record, or has no such checkpoint, surrogate or attacker.
    """
    require_queries(record)
    if queries not in record.header["checkpoints"]:
        known = ", ".join(map(str, record.header["checkpoints"]))
        raise RecordError(
            f"the record {record.name!r} has no checkpoint at {queries} queries; give one of: "
            f"{known}"
        )
    attackers = [each for each in record.header["attackers"] if start in (None, each["surrogate"])]
    if attackers and sees is not None:
        attackers = [each for each in attackers if each["sees"] == sees]
        if not attackers:
            raise RecordError(
                f"in the record {record.name!r} no attacker sees {sees!r} of an answer; give "
                f"{'scores' if sees == 'labels' else 'labels'}"
            )
    if not attackers:
        raise RecordError(
            f"in the record {record.name!r} no attacker starts from {start!r}; give one of its "
            f"surrogates: {', '.join(record.header['surrogates']) or 'none'}"
        )
    left = [(each, *left_by(record, each["name"], queries)) for each in attackers]
    attacker, _, judged = min(left, key=lambda each: float(each[1].mean()))
    return attacker, judged


def conclude_queries(record: Record) -> dict[str, Any]:
    """The accuracies of a record of queries.

    Returns:
        ``name``, ``trial``, ``draws``, ``images``, ``suite``, ``queries`` (the budget),
        ``evaluations``, ``sigma``; ``clean``; ``curve``, what the best attacker leaves at each
        checkpoint: the headline, a list of ``queries``, ``value``, ``low``, ``high``, ``attacker``
        (its label) and ``answers`` (its k); ``alone``, the same of the attackers that have no other
        model to start from, empty where all or none have; ``attackers``, label to k, as text, to
        such a list; ``quoted``, the row of the curve at 1,000 queries, or at the last checkpoint
        before; and ``half``, the first checkpoint at which half of the clean accuracy or less is
        left, None where more is left to the end. Every accuracy has its 95 % interval, by Wilson,
        or of the batches where one draw serves a whole one. ``warnings``.

    Raises:
        RecordError: it is no record of queries.
    """
    require_queries(record)
    header, marks = record.header, record.header["checkpoints"]
    batches = None
    if header.get("shared_draws"):
        batches = np.arange(len(record)) // header["batch_size"]

    def accuracy(shares: NDArray[Any]) -> dict[str, float]:
        return accuracy_with_interval(shares.mean(), len(shares), shares, batches)

    def row(mark: int, attacker: dict[str, Any], shares: NDArray[Any]) -> dict[str, Any]:
        told = {"attacker": attacker["label"], "answers": attacker["answers"]}
        return {"queries": mark, **accuracy(shares), **told}

    attackers: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for each in header["attackers"]:
        rows = [row(mark, each, left_by(record, each["name"], mark)[1]) for mark in marks]
        attackers.setdefault(each["label"], {})[str(each["answers"])] = rows
    curve = [row(mark, *best_attacker(record, mark)) for mark in marks]
    some = {bool(each["surrogate"]) for each in header["attackers"]} == {True, False}
    alone = [row(mark, *best_attacker(record, mark, start="")) for mark in marks if some]
    clean = accuracy(record.columns["clean_fresh"] / header["evaluations"])
    reached = [each["queries"] for each in curve if each["value"] <= clean["value"] / 2]
    return {
        **{key: header[key] for key in ("name", "trial", "draws", "suite", "queries")},
        "images": len(record),
        "evaluations": header["evaluations"],
        "sigma": header["sigma"],
        "clean": clean,
        "curve": curve,
        "alone": alone,
        "attackers": attackers,
        "quoted": quoted_of(curve),
        "half": reached[0] if reached else None,
        "warnings": [*header["warnings"], *few_images(len(record))],
    }


def quoted_of(curve: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The row of a curve that a sentence quotes: at 1,000 queries, or at the last checkpoint
    before."""
    return [each for each in curve if each["queries"] <= QUOTED][-1]


def query_difference(
    first: Record, second: Record, queries: int, *, start: str | None = None
) -> tuple[float, Interval]:
    """How much more of ``first`` than of ``second`` is left after ``queries`` answers, each under
    its best attacker, on the same images: the mean difference and its paired 95 % interval.

    Args:
        start: only attackers that start there; see :func:`best_attacker`.

    Raises:
        RecordError: they are of other images, threats or kinds, or have no such checkpoint or
            surrogate.
    """
    left, other = (best_attacker(each, queries, start=start)[1] for each in (first, second))
    for key in _SAME:
        if first.header[key] != second.header[key]:
            raise RecordError(
                f"the records {first.name!r} and {second.name!r} differ in {key}; compare models "
                "on the same images under the same threat"
            )
    return paired_difference(left, other)


def require_queries(record: Record) -> None:
    """Raise a RecordError unless ``record`` is one of queries with all that it needs."""
    if record.kind != KIND_QUERIES:
        raise RecordError(
            f"the record {record.name!r} is of the kind {record.kind!r}; give one of the kind "
            f"{KIND_QUERIES!r}"
        )
    fields = ("trial", "draws", "suite", "queries", "checkpoints", "evaluations", "attackers")
    missing = [key for key in (*fields, "sigma", "warnings") if key not in record.header]
    needed = ["clean_select", "clean_fresh"]
    for each in record.header.get("attackers", ()):
        for mark in record.header.get("checkpoints", ()):
            needed += [f"{each['name']} {mark}_{part}" for part in ("select", "fresh")]
    missing += [name for name in needed if name not in record.columns]
    if missing:
        raise RecordError(
            f"the record {record.name!r} lacks {', '.join(missing)}; evaluate again to make it"
        )

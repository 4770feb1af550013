"""Limits of the works of table I beside records made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from made import CIFAR10, IMAGES, found, kept, leaderboard, points

from alp.records import Kept, Record

OTHER = points("sweep", [("single", 0.3, s, share, 20.0) for s, share in ((0.0, 0.3), (0.5, 0.4))])
"""A record that some claim is about, so that the others are judged too."""


@pytest.mark.parametrize(("worst", "status"), [(0.1, "reproduced"), (0.4, "not reproduced")])
def test_a_defence_falls_where_those_who_know_it_take_more(worst: float, status: str) -> None:
    """By the record of the most images; a record without attackers who do not know it says
    nothing."""
    whole = leaderboard("hgd", {"oblivious": 0.4, "single": worst}, 0)
    few = {key: column[:10] for key, column in whole.record.columns.items()}
    few["oblivious_select"] = few["oblivious_fresh"] = np.zeros(10, int)
    short = Kept("short/records/hgd.json", Record(whole.record.header, few))
    one = found([short, whole], "field.hgd.limit")
    assert one.status == status
    assert one.findings[0].value == pytest.approx(100 * (0.4 - worst))
    without = leaderboard("hgd", {"single": worst}, 0)
    assert found([OTHER, without], "field.hgd.limit").findings == ()


@pytest.mark.parametrize(("many", "status"), [(0.2, "reproduced"), (0.5, "not reproduced")])
def test_iterated_steps_are_held_against_one_on_the_same_images(many: float, status: str) -> None:
    columns = {"clean_select": np.full(IMAGES, 2), "clean_fresh": np.full(IMAGES, 2)}
    entries = []
    for name, left in (("fgsm", 0.5), ("bim", many)):
        attacked = 2 * (np.arange(IMAGES) < left * IMAGES)
        columns |= {f"{name}_select": attacked, f"{name}_fresh": attacked}
        columns[f"{name}_attacked"] = np.ones(IMAGES, bool)
        entries.append({"name": name, "attack": {"name": name}})
    header = {"kind": "verdict", "name": "baseline", "evaluations": 2, "entries": entries}
    header |= {"threat": {"name": "linf"}, **CIFAR10}
    one = found([kept(Record(header, columns), "attacks")], "field.fgsm.limit")
    assert one.status == status
    assert one.findings[0].value == pytest.approx(100 * (0.5 - many))
    alone = Record({**header, "entries": entries[:1]}, columns)
    assert found([OTHER, kept(alone, "attacks")], "field.fgsm.limit").findings == ()


@pytest.mark.parametrize(("votes", "status"), [(1000, "reproduced"), (998, "not reproduced")])
def test_votes_are_the_mean_of_the_record_of_the_most_images(votes: int, status: str) -> None:
    def proofs(images: int, draws: int) -> Kept:
        columns = {"index": np.arange(images), "draws": np.full(images, draws)}
        columns["draws"][::2] += 1
        columns["draws"][1::2] -= 1
        header = {"kind": "certificate", "name": "cifar10-certified", **CIFAR10}
        return kept(Record(header, columns), "", images, "proofs")

    one = found([proofs(10, 5000), proofs(IMAGES, votes)], "field.smoothing.limit")
    assert one.status == status
    assert one.findings[0].value == votes

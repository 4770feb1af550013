"""Shares: which there is, and what it does."""

from __future__ import annotations

import pytest

from alp.errors import ConfigError
from alp.executors.shares import Share

SLURM = {
    "SLURM_ARRAY_TASK_ID": "7",
    "SLURM_ARRAY_TASK_MIN": "3",
    "SLURM_ARRAY_TASK_STEP": "2",
    "SLURM_ARRAY_TASK_COUNT": "4",
}


@pytest.mark.parametrize(
    ("text", "environment", "found"),
    [
        (None, {}, None),
        (None, SLURM, None),
        ("2/3", {}, Share(2, 3)),
        (None, {"ALP_SHARE": "1/2"}, Share(1, 2)),
        ("all", {"ALP_SHARE": "1/2"}, None),
        ("2/2", {"ALP_SHARE": "1/2"}, Share(2, 2)),
        ("auto", SLURM, Share(3, 4)),
        (None, SLURM | {"ALP_SHARE": "auto"}, Share(3, 4)),
        ("auto/8", {"JOB_COMPLETION_INDEX": "0"}, Share(1, 8)),
    ],
)
def test_shares(text, environment, found) -> None:
    assert Share.of(text, environment) == found


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("0/3", {}, "share is 0/3; give K/N"),
        ("4/3", {}, "share is 4/3"),
        ("2", {}, "share is '2'"),
        ("a/b", {}, "share is 'a/b'"),
        ("auto", {}, "neither SLURM_ARRAY_TASK_ID nor"),
        ("auto", {"JOB_COMPLETION_INDEX": "0"}, "--share auto/8"),
        ("auto/2", {"JOB_COMPLETION_INDEX": "2"}, "share is 3/2"),
        ("auto", {"SLURM_ARRAY_TASK_ID": "x"}, "SLURM_ARRAY_TASK_ID is 'x'"),
    ],
)
def test_what_is_no_share_is_refused(text, environment, message) -> None:
    with pytest.raises(ConfigError, match=message):
        Share.of(text, environment)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_unit_is_in_one_share_and_groups_stay_together(count: int) -> None:
    units = [(batch, task) for batch in range(5) for task in range(4)]
    shares = [
        Share(number, count).part(units, lambda unit: unit[0], lambda unit: 1 + unit[0])
        for number in range(1, count + 1)
    ]
    assert sorted(unit for share in shares for unit in share) == units
    for share in shares:
        assert all((batch, task) in share for batch, _ in share for task in range(4))


def test_shares_are_about_equal() -> None:
    costs = [9, 7, 6, 5, 4, 3, 2, 2, 1, 1]
    loads = [sum(Share(number, 4).part(costs, lambda unit: unit, float)) for number in (1, 2, 3, 4)]
    assert max(loads) <= 10, "equal units are one group here; none has a quarter more than its part"


def test_work_of_a_name_is_one_shares() -> None:
    places = [f"record-{number}" for number in range(40)]
    owners = [[Share(n, 3).owns("a", place) for n in (1, 2, 3)].index(True) for place in places]
    assert set(owners) == {0, 1, 2}
    assert all(
        [Share(n, 3).owns("a", place) for n in (1, 2, 3)].count(True) == 1 for place in places
    )

"""What has to hold of the leaderboard if its attacks work: docs/leaderboard.md says it, by the
committed records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from alp.records import Record, conclude, read, robust_share
from alp.records.statistics import paired_difference

ROOT = Path(__file__).parents[2]
LEADERBOARD = ROOT / "results" / "cpu" / "leaderboard" / "records"
BOUND = 0.02
"""The most that an attacker who knows MagNet or HGD may leave it."""


def record(name: str) -> Record:
    return read(LEADERBOARD / f"{name}.json")


def level(name: str, level: str) -> float:
    value: float = conclude(record(name))["levels"][level]["value"]
    return value


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def rows() -> dict[str, Any]:
    """What has to hold to what was measured."""
    text = (ROOT / "docs" / "leaderboard.md").read_text("utf-8")
    part = text[text.index("## What has to hold") :].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    cells = [[each.strip() for each in line.strip("|").split("|")] for line in lines]
    return {row[0].split(" ")[0]: row[1:] for row in cells[1:]}


@pytest.mark.parametrize(
    ("title", "name", "attacker"), [("MagNet", "magnet", "detectors"), ("HGD", "hgd", "single")]
)
def test_an_attacker_who_knows_it_leaves_next_to_nothing(
    title: str, name: str, attacker: str
) -> None:
    left = level(name, attacker)
    assert left <= BOUND
    assert rows()[title] == [percent(left), "holds"]


def test_gradients_of_a_shorter_chain_leave_no_more_than_the_identity() -> None:
    exact, identity = level("diffpure", "single"), level("diffpure", "bpda")
    assert exact <= identity
    assert rows()["DiffPure:"] == [f"{percent(exact)} and {percent(identity)}", "holds"]


def test_unified_latents_protect_a_little() -> None:
    """Which is not what was expected, and the page says so."""
    latents, bare = record("unified-s4"), record("cifar10-lite-standard")
    shares = [robust_share(each) for each in (latents, bare)]
    mean, (low, high) = paired_difference(*shares)
    words = f"{100 * mean:+.1f} points ({100 * low:.1f} to {100 * high:.1f})"
    assert low > 0
    assert rows()["unified"] == [words, "does not hold"]
    told, clean = conclude(latents), conclude(bare)["clean"]["value"]
    assert {each["passed"] for each in told["checks"]} == {True}
    assert len(told["checks"]) == 10
    text = " ".join((ROOT / "docs" / "leaderboard.md").read_text("utf-8").split())
    kept, left = told["clean"]["value"], told["levels"]["oblivious"]["value"]
    assert f"costs {100 * (clean - kept):.1f} points of clean accuracy" in text
    assert f"{percent(left)} of {percent(kept)} are still right" in text

"""Suites, attacks, recipes, protocols, claims and thresholds are what was agreed on."""

from __future__ import annotations

from difflib import unified_diff

import golden
import pytest


@pytest.mark.parametrize("name", golden.GOLDEN)
def test_nothing_changed_by_accident(name: str) -> None:
    kept = (golden.FOLDER / f"{name}.json").read_text("utf-8")
    now = golden.text(name)
    lines = unified_diff(kept.splitlines(), now.splitlines(), "agreed", "now", lineterm="", n=1)
    changed = "\n".join(lines)
    assert not changed, (
        f"{name}.json no longer is what the package does. Weakening an attack, a check, a claim or "
        f"a recipe needs a reason; where the change is meant, run `{golden.COMMAND}` and commit "
        f"the files with it.\n{changed}"
    )


def test_every_file_is_compared() -> None:
    assert {path.stem for path in golden.FOLDER.glob("*.json")} == set(golden.GOLDEN)


def test_the_numbers_that_have_slipped_before_are_there() -> None:
    """The comparison sees no more than the files hold."""
    values = {name: make() for name, make in golden.GOLDEN.items()}
    strongest = values["suites"]["suites"]["standard, linf"]["opening"][-1]
    assert strongest["level"] == "eot"
    assert (strongest["attack"]["steps"], strongest["draws"]) == (100, 20)
    assert values["thresholds"]["evaluation"]["planted.FOUND"] == 0.95
    assert values["thresholds"]["evaluation"]["stronger.SLACK"] == 0.005
    assert values["claims"]["hierarchy.a-alp-at.robust"]["tolerance"] == 3.88
    assert values["recipes"]["adversarial, cpu"]["stage"]["optim"]["lr"] == 0.2

"""The table of every attack: what each defence meets, and how records become the table."""

from __future__ import annotations

import numpy as np
import pytest

from alp.attacks import L2, Linf, Square
from alp.attacks.library import AutoAttackStandard
from alp.defences import InputNoise, ResNetLite
from alp.errors import RecordError
from alp.evaluation.header import attack_settings
from alp.evaluation.suites import Suite
from alp.experiments.attacks import DRAWS, groups
from alp.records import Record
from alp.report.figures.attacks import NAMES, caption, table


@pytest.fixture
def plain() -> ResNetLite:
    return ResNetLite().eval()


@pytest.fixture
def noisy():
    return InputNoise(ResNetLite(), 0.1).eval()


def suites(defence, threat, classes: int = 10) -> dict[str, Suite]:
    return {group.name: group.suite(threat, defence, classes) for group in groups()}


@pytest.mark.parametrize(("threat", "missing"), [(Linf(), {"C&W", "Boundary"}), (L2(0.5), set())])
def test_all_attacks_of_the_field_are_there(plain, threat, missing) -> None:
    entries = [entry for suite in suites(plain, threat).values() for entry in suite.opening]
    found = {NAMES[attack_settings(entry.attack, threat)["name"]] for entry in entries}
    assert found == set(NAMES.values()) - missing
    assert len(entries) == len(found)


def test_a_model_without_noise_is_attacked_by_its_own_gradient(plain) -> None:
    for suite in suites(plain, L2(0.5)).values():
        assert suite.evaluations == 1
        for entry in suite.opening:
            square = isinstance(entry.attack, Square)
            assert entry.level == ("score" if square else "single")
            assert entry.draws == 1
            assert not (square and entry.attack.rescored)


def test_a_random_one_is_attacked_over_draws(noisy) -> None:
    levels = {}
    for name, suite in suites(noisy, Linf()).items():
        assert {entry.draws for entry in suite.opening} == {DRAWS}
        levels[name] = {entry.level for entry in suite.opening}
    assert levels["first-order"] == {"eot"}
    assert levels["minimum-norm"] == levels["autoattack"] == {"fixed"}
    assert levels["black-box"] == {"fixed", "score"}


def test_autoattack_needs_four_classes(plain) -> None:
    assert isinstance(suites(plain, Linf(), 4)["autoattack"].opening[0].attack, AutoAttackStandard)
    assert suites(plain, Linf(), 3)["autoattack"].entries == ()


def test_less_effort_is_fewer_steps_of_the_same_attacks() -> None:
    for full, little in zip(groups(), groups(0.1), strict=True):
        assert [type(a) for a in full.attacks] == [type(a) for a in little.attacks]
        calls = [sum(sum(a.calls) for a in each.attacks) for each in (full, little)]
        assert calls[1] < calls[0] or full.name == "autoattack"


def verdict(name: str, norm: str, left: float, images: int = 10) -> Record:
    right = np.arange(images) < left * images
    entry = "single pgd-20"
    return Record(
        {
            "kind": "verdict",
            "name": name,
            "trial": 0,
            "draws": 1,
            "suite": "first-order",
            "evaluations": 1,
            "entries": [
                {
                    "name": entry,
                    "level": "single",
                    "draws": 1,
                    "closing": False,
                    "attack": {"name": "pgd", "steps": 20},
                }
            ],
            "checks": [],
            "warnings": [],
            "sigma": None,
            "seed": 0,
            "data": {"name": "cifar10", "split": "test"},
            "threat": {"name": norm, "eps": 0.5},
        },
        {
            "clean_select": np.ones(images, np.int16),
            "clean_fresh": np.ones(images, np.int16),
            "psnr": np.full(images, np.inf),
            f"{entry}_attacked": np.ones(images, bool),
            f"{entry}_select": right.astype(np.int16),
            f"{entry}_fresh": np.where(right, -1, 0).astype(np.int16),
        },
    )


def test_a_cell_is_what_the_attack_leaves() -> None:
    records = [verdict("AT", "linf", 0.4), verdict("AT", "l2", 0.7), verdict("baseline", "l2", 0)]
    clean, row = table(records).values()
    assert {cell.accuracy["value"] for cell in clean.values()} == {1.0}
    assert {place: cell.accuracy["value"] for place, cell in row.items()} == {
        ("AT", "linf"): 0.4,
        ("AT", "l2"): 0.7,
        ("baseline", "l2"): 0.0,
    }
    cell = row["AT", "linf"]
    assert (cell.images, cell.effort) == (10, "20 steps")
    assert cell.accuracy["low"] < 0.4 < cell.accuracy["high"]
    assert "PGD (20 steps, 10 images)" in caption(records)


def test_no_record_makes_no_table() -> None:
    with pytest.raises(RecordError, match="no record"):
        table([])

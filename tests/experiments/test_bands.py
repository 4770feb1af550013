"""Claims about frequencies beside records made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from made import CIFAR10, IMAGES, found, kept, points

from alp.experiments.findings import judge
from alp.records import Kept, Record
from alp.records.record import BINS
from alp.report.claims import Finding

EPS = 8 / 255
HIGH = BINS // 2
"""The first bin of high frequencies: 0.25 cycles a pixel."""
EVEN = 0.8115
"""The share of the frequencies of 32x32 pixels that are high ones."""


def band(name: str, left: float, passed: float, number: int) -> Kept:
    cells = [("single", EPS, None, left, 26.0)]
    return points("spectra", cells, trial=number, passed=passed, extra={"band": name})


def spectra(attack: float, behind: float) -> Kept:
    """Half of the images have that share of the power at the lowest high frequencies, the others
    at the highest; the rest of the power lies right below."""
    columns = {"index": np.arange(IMAGES), "label": np.zeros(IMAGES, int)}
    for name, share in (("attack", attack), ("behind", behind), ("removed", 0.5)):
        columns |= {f"{name}_{number}": np.zeros(IMAGES, np.float32) for number in range(BINS)}
        columns[f"{name}_{HIGH - 1}"] = np.full(IMAGES, 3 * (1 - share))
        columns[f"{name}_{HIGH}"] = 3 * share * (np.arange(IMAGES) % 2)
        columns[f"{name}_{BINS - 1}"] = 3 * share * (np.arange(IMAGES) % 2 == 0)
    header = {"kind": "spectra", "name": "ALP standalone", "seed": 0, "images": IMAGES, **CIFAR10}
    header |= {"sets": ["attack", "behind", "removed"], "level": "single", "draws": 1}
    return kept(Record({**header, "attack": {}, "threat": {}}, columns), "spectra", 9)


def of(records: list[Kept], claim: str) -> dict[str, Finding]:
    return {each.protocol: each for each in found(records, claim).findings}


def test_bands_are_compared_on_the_same_images() -> None:
    records = [band("low", 0.5, 0.9, 0), band("high", 0.3, 0.4, 1), band("all", 0.1, 0.5, 2)]
    harm = of(records, "spectra.attack")
    assert {words: each.value for words, each in harm.items()} == {
        "single, high band over low": pytest.approx(20),
        "single, all over low band": pytest.approx(40),
    }
    (removed,) = of(records, "spectra.removed").values()
    assert removed.value == pytest.approx(50)
    assert removed.holds
    assert judge(records[:1]) == []


@pytest.mark.parametrize(("share", "holds"), [(EVEN + 0.01, True), (EVEN - 0.01, False)])
def test_the_power_of_an_attack_is_held_against_even_power(share: float, holds: bool) -> None:
    one = of([spectra(share, 0.4)], "spectra.attack")["single, power over even"]
    assert one.value == pytest.approx(100 * (share - EVEN), abs=0.01)
    assert one.holds is holds


@pytest.mark.parametrize(("behind", "holds"), [(0.5, True), (0.7, False)])
def test_the_share_of_high_frequencies_has_to_fall_behind_the_purifier(
    behind: float, holds: bool
) -> None:
    one = of([spectra(0.6, behind)], "spectra.removed")["single, share of the power"]
    assert one.value == pytest.approx(100 * (0.6 - behind))
    assert one.holds is holds

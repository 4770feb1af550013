"""Claims of how far trials are apart, on records made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from made import CIFAR10, IMAGES, found, kept, points

from alp.records import KIND_TRAINING, Kept, Record
from alp.records.record import LAYOUTS


def test_the_deviation_of_each_record_of_the_trials_counts(make_record) -> None:
    """At their learned noise level and at one radius; both records say how many images they have.
    Of three trials the interval is 0.52 to 6.28 times the deviation."""
    usual = 8 / 255
    table = [
        kept(make_record(single=share, trial=n), "hierarchy", n)
        for n, share in enumerate((0.3, 0.31, 0.32))
    ]
    others = [("single", usual, 0.1, 0.9, 20.0), ("single", 2 / 255, None, 0.9, 20.0)]
    figure = [
        points("reliability", [("single", usual, None, share, 20.0), *others], trial=n)
        for n, share in enumerate((0.3, 0.33, 0.36))
    ]
    first, second = found([*table, *figure], "hierarchy.a-alp-at.sd").findings
    assert first.protocol == "single, 200 images"
    assert (first.value, first.holds) == (pytest.approx(1), True)
    assert first.interval == "0.52 to 6.28"
    assert second.protocol == "single, 200 images, reliability"
    assert (second.value, second.holds) == (pytest.approx(3), False)
    assert found([*table[:1], *figure[:1]], "hierarchy.a-alp-at.sd").findings == ()


def test_a_mean_over_trials_has_the_interval_of_student(make_record) -> None:
    """Of two trials it is 12.7 standard errors wide on either side; of one there is none."""
    trials = [
        kept(make_record(trial=n, sigma=sigma), "hierarchy", n)
        for n, sigma in enumerate((0.20, 0.22))
    ]
    (two,) = found(trials, "sigma.mean").findings
    assert two.interval == "0.083 to 0.337; SD 0.014"
    (one,) = found(trials[:1], "sigma.mean").findings
    assert one.interval == ""


def trained(item: str, sigma: float, number: int, start: float) -> Kept:
    """The curves of a training that ends at ``sigma``."""
    header = {"kind": "training", "name": "purifier", "seed": 0, "trial": number, "steps": 1}
    header |= {"batch_size": 1, "psnr": 26.2, "start": start, "sigma": sigma, **CIFAR10}
    names = LAYOUTS[KIND_TRAINING].columns
    return kept(Record(header, {name: np.ones(1) for name in names}), item, number)


def test_sigma_is_stable_over_trials_and_over_starts_each() -> None:
    trials = [trained("sigma", sigma, n, 0.5) for n, sigma in enumerate((0.98, 1.0, 1.02))]
    starts = [trained("sigma-starts", s, n, s) for n, s in enumerate((0.9, 1.0, 1.1))]
    first, second = found([*trials, *starts], "sigma.stable").findings
    assert (first.protocol, first.value) == ("3 trials", pytest.approx(2))
    assert (second.protocol, second.value) == ("starts 0.9, 1, 1.1", pytest.approx(10))
    assert (first.holds, second.holds) == (True, False)
    assert len(found(trials, "sigma.stable").findings) == 1


def curve(first: float, spread: float) -> Kept:
    """PSNR that varies over the images without noise, and not at sigma 2."""
    cells = [("clean", 0.0, s, 0.8, psnr) for s, psnr in ((0.0, first), (2.0, 17.0))]
    record = points("tradeoff", cells)
    name = record.record.header["points"][0]["name"]
    record.record.columns[f"{name}_psnr"] += np.tile([-spread, spread], IMAGES // 2)
    return record


def test_the_distance_from_a_published_psnr_has_the_interval_of_the_mean() -> None:
    """1.96 standard errors, on either side of the published value too: 0.28 dB here."""
    (far,) = found([curve(19.0, 2.0)], "tradeoff.psnr").findings
    assert (far.words, far.interval) == ("2.00\u202fdB off", "1.72 to 2.28")
    (near,) = found([curve(20.9, 2.0)], "tradeoff.psnr").findings
    assert (near.words, near.interval) == ("0.10\u202fdB off", "0.00 to 0.38")

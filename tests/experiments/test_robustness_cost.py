"""The problem in closed form, against simulation and search, and the means over seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alp.errors import ConfigError, RecordError
from alp.experiments.toy import Toy
from alp.records import Record
from alp.report.figures.robustness_cost import trained_at

TOYS = [Toy(), Toy(20, 0.8, 0.2), Toy(400, 0.99, 0.1)]


def simulated(toy: Toy, weight: float, eps: float, count: int = 20_000) -> float:
    """The accuracy of a classifier whose every feature is moved against the label."""
    source = np.random.default_rng(0)
    y = source.choice([-1, 1], count)
    first = y * np.where(source.random(count) < toy.reliable, 1, -1)
    others = source.normal(toy.mean * y[:, None], 1, (count, toy.features))
    score = weight * (first - eps * y) + (others - eps * y[:, None]).sum(1)
    return float(np.mean(score * y > 0))


@pytest.mark.parametrize("toy", TOYS)
@pytest.mark.parametrize("share", [0, 0.5, 1, 2])
@pytest.mark.parametrize("weight", [0.0, 4.0, 30.0])
def test_accuracies_are_those_of_a_simulation(toy: Toy, share: float, weight: float) -> None:
    eps = share * toy.mean
    expected = toy.accuracy(weight, eps)
    deviation = math.sqrt(max(expected * (1 - expected), 1e-4) / 20_000)
    assert simulated(toy, weight, eps) == pytest.approx(expected, abs=5 * deviation)


@pytest.mark.parametrize("toy", TOYS)
@pytest.mark.parametrize("share", [0, 0.1, 0.3, 0.6, 0.9, 0.99, 1.5])
def test_no_other_weight_is_better(toy: Toy, share: float) -> None:
    eps = share * toy.mean
    best = toy.accuracy(toy.optimum(eps), eps)
    others = [toy.accuracy(weight, eps) for weight in np.geomspace(1e-3, 1e6, 2000).tolist()]
    assert max([*others, toy.accuracy(0.0, eps), toy.reliable]) <= best + 1e-9


def test_an_optimum_inside_the_range_is_flat() -> None:
    toy, eps = Toy(), 0.1
    weight = toy.optimum(eps)
    assert 0 < weight < math.inf
    left, right = (toy.accuracy(weight + step, eps) for step in (-0.01, 0.01))
    assert max(left, right) < toy.accuracy(weight, eps)


def test_without_an_attack_it_is_the_bayes_classifier() -> None:
    toy = Toy()
    assert toy.optimum() == pytest.approx(math.log(19) / 0.6)
    assert toy.accuracy(toy.optimum()) > 0.998


def test_accuracy_and_robustness_are_at_odds() -> None:
    """Theorem 2.1, which the most accurate classifier keeps to, and which leaves room for the
    robust one only because that gives its accuracy up."""
    toy = Toy()
    accurate, eps = toy.optimum(), 2 * toy.mean
    assert toy.accuracy(accurate, eps) <= toy.bound(toy.accuracy(accurate)) < 0.05
    robust = toy.optimum(eps)
    assert toy.accuracy(robust, eps) == toy.accuracy(robust) == toy.reliable
    assert toy.bound(toy.reliable) == pytest.approx(toy.reliable)


def test_a_mean_whose_double_is_no_radius_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Toy\.mean is 0\.5"):
        Toy(mean=0.5)


def of(trial: int, right: float, **extra: float) -> Record:
    names = ["clean 0", "single 0.01569"]
    return Record(
        {
            "kind": "points",
            "name": "trained at 4/255",
            "trial": trial,
            "seed": 0,
            "draws": 1,
            "images": 10,
            "data": {"name": "cifar10", "split": "test"},
            "sigma": None,
            "attack": {"name": "pgd"},
            "threat": {"name": "linf"},
            "points": [
                {"name": name, "level": level, "eps": eps, "sigma": None, "averaged": 1}
                for name, level, eps in zip(names, ("clean", "single"), (0, 4 / 255), strict=True)
            ],
            "extra": extra,
        },
        {
            "index": np.arange(10),
            "label": np.zeros(10),
            **{f"{name}_correct": np.arange(10) < 10 * right for name in names},
            **{f"{name}_psnr": np.full(10, np.inf) for name in names},
            **{f"{name}_passed": np.ones(10) for name in names},
        },
    )


def test_seeds_are_averaged_image_by_image() -> None:
    records = [of(0, 0.4, trained_eps=4 / 255), of(1, 0.8, trained_eps=4 / 255)]
    records.append(of(0, 0.2, trained_eps=0.0))
    found = trained_at(records)
    assert list(found) == [0.0, 4 / 255]
    assert found[4 / 255][4 / 255].value == pytest.approx(0.6)
    assert found[0.0][0.0].value == pytest.approx(0.2)


def test_a_record_that_does_not_say_its_training_is_refused() -> None:
    with pytest.raises(RecordError, match="trained_eps"):
        trained_at([of(0, 0.5)])

"""One model at a list of settings."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alp.attacks import FGSM, PGD
from alp.data import Images
from alp.defences import Defended
from alp.errors import ConfigError, RecordError, UnknownNameError
from alp.evaluation import About, Grid, Point, evaluate
from alp.records import CLEAN, Record, accuracy, choose_points, mean, measured
from alp.seeding import generator

ABOUT = About("a", draws=3, sigma=0.5, weights={"model": "w"}, item="sweep")
POINTS = [Point(sigma=s) for s in (0.0, 1.0)] + [
    Point("single", eps, s) for eps in (0.05, 0.1) for s in (0.0, 1.0)
]


@pytest.fixture
def images() -> Images:
    pixels = torch.randint(0, 256, (10, 3, 16, 16), generator=generator(0, "pixels"))
    labels = torch.arange(10) % 4
    return Images.of(pixels.byte(), labels, tuple("abcd"), "some", "test")


@pytest.fixture
def model(new_purifier, new_classifier) -> Defended:
    return Defended(new_classifier(), new_purifier(), draws=3).eval()


def run(model, images, points=POINTS, attack=None, **options) -> Record:
    grid = Grid(attack or FGSM(), tuple(points))
    options = {"about": ABOUT, "seed": 0, "batch_size": 4, **options}
    return evaluate(model, images, grid.threat, grid, **options)


def test_every_point_has_its_columns(model, images) -> None:
    seen: list[tuple[str, float, float]] = []
    record = run(model, images, progress=lambda *told: seen.append(told))
    points = measured(record)
    assert [(p.level, p.eps, p.sigma) for p in points] == [
        (p.level, p.eps, p.sigma) for p in POINTS
    ]
    assert record.header["item"] == "sweep"
    assert record.header["threat"] == {"name": "linf"}, "the radius is the points' own"
    assert len(record) == 10
    assert seen[-1][1] == pytest.approx(seen[-1][2])
    assert len(seen) == 1 + 6 * 3, "the start, and every point of every batch"
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_a_radius_that_all_points_share_is_the_threat(model, images) -> None:
    record = run(model, images, [Point(), Point("single", 0.1)], PGD(steps=2))
    assert record.header["threat"] == {"name": "linf", "eps": 0.1}
    assert record.header["attack"]["step_size"] == pytest.approx(0.025)


def test_noise_costs_quality_and_none_is_the_decoded_mean(model, images) -> None:
    quiet, loud = measured(run(model, images, [Point(sigma=0.0), Point(sigma=1.0)]))
    assert (quiet.psnr > loud.psnr).all()
    x = images.batch(torch.arange(10))[0]
    with torch.no_grad():
        decoded = model.purifier(x, generator(5, "any"), sigma=0.0)
    expected = -10 * (x - decoded).square().mean((1, 2, 3)).log10()
    assert quiet.psnr == pytest.approx(expected.numpy(), abs=1e-4)


def test_the_learned_sigma_by_either_name(model, images) -> None:
    learned = model.purifier.sigma
    one, two = measured(run(model, images, [Point("single", 0.1), Point("single", 0.1, learned)]))
    assert two.sigma == learned
    assert one.correct.tolist() == two.correct.tolist()
    assert one.psnr == pytest.approx(two.psnr, abs=1e-3)


def test_attacks_pass_whole_where_nothing_purifies(new_classifier, images) -> None:
    clean, attacked = measured(run(new_classifier(), images, [Point(), Point("single", 0.1)]))
    assert np.isnan(clean.passed).all()
    assert attacked.passed == pytest.approx(np.ones(10))
    assert np.isinf(clean.psnr).all()
    assert attacked.psnr.min() > 19.99  # 0.1 everywhere, less where it is clipped


def test_killed_and_called_again_it_is_the_same_record(model, images, tmp_path) -> None:
    whole = run(model, images)

    calls = iter(range(100))

    def kill(what: str, done: float, total: float) -> None:
        if next(calls) == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(model, images, progress=kill, resume=tmp_path)
    kept = len(list(tmp_path.glob("unit*.parquet")))
    assert kept == 7, "two points of three batches, and a batch of the third"
    assert run(model, images, resume=tmp_path).same(whole)
    with pytest.raises(ConfigError, match="another evaluation"):
        run(model, images, POINTS[:2], resume=tmp_path)


@pytest.mark.parametrize(
    ("points", "words"),
    [([], "one or more"), ([Point(), Point()], "each once")],
)
def test_points_that_make_no_record(model, images, points, words) -> None:
    with pytest.raises(ConfigError, match=words):
        run(model, images, points)


def test_a_point_that_is_none() -> None:
    with pytest.raises(UnknownNameError, match="eot"):
        Point("psychic", 0.1)
    with pytest.raises(ConfigError, match="radius"):
        Point("single")
    with pytest.raises(ConfigError, match="radius"):
        Point(CLEAN, 0.1)


def test_without_noise_there_is_one_draw(model) -> None:
    quiet, loud = model.at_sigma(0.0), model.at_sigma(0.7)
    assert (quiet.draws, quiet.stochastic) == (1, False)
    assert (loud.draws, loud.stochastic) == (3, True)
    x = torch.rand(2, 3, 16, 16, generator=generator(0, "x"))
    assert len(quiet.logits(x, generator(0, "s"), 5)) == 1
    for view in ("logits", "masked", "bpda"):
        drawn = getattr(loud, view)(x, generator(0, "s"), 2)
        again = getattr(model.at_sigma(0.1), view)(x, generator(0, "s"), 2)
        assert drawn.shape == (2, 2, 4)
        assert not torch.equal(drawn, again)


def test_choosing_points(model, images) -> None:
    points = measured(run(model, images))
    assert len(choose_points(points, "single")) == 4
    (one,) = choose_points(points, "single", eps=0.1, sigma=1.0)
    assert one is points[-1]
    with pytest.raises(RecordError, match=r"'eot', sigma 3"):
        choose_points(points, "eot", sigma=3.0)


def test_estimates_by_hand() -> None:
    share = accuracy(np.array([True] * 5 + [False] * 5))
    assert (share.value, share.low, share.high) == pytest.approx((0.5, 0.2366, 0.7634), abs=1e-4)
    middle = mean(np.array([1.0, 3.0, np.nan, 1.0, 3.0]))
    assert (middle.value, middle.low, middle.high) == pytest.approx((2, 1.02, 2.98), abs=1e-3)
    assert np.isnan(mean(np.array([np.nan])).value)

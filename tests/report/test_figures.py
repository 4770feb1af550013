"""What the figures show, read back from their axes, of records made by hand."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from alp.errors import RecordError
from alp.records import KIND_PICTURES, KIND_POINTS, KIND_TRAINING, Record
from alp.report.figures import FIGURES

IMAGES = 100
USUAL = 8 / 255


def _header(kind, item, **more):
    return {
        "kind": kind,
        "item": item,
        "name": "A-ALP + AT",
        "trial": 0,
        "seed": 3,
        "draws": 20,
        "images": IMAGES,
        "sigma": 0.6,
        "data": {"name": "cifar10", "split": "test", "classes": ["cat", "dog"]},
        "threat": {"name": "linf", "eps": USUAL},
        "attack": {"name": "pgd", "steps": 7},
        **more,
    }


def points(item, values, psnr=25.0, passed=0.5, **header):
    """A record of (level, eps, sigma) to accuracy."""
    listed, columns = [], {"index": np.arange(IMAGES), "label": np.zeros(IMAGES, int)}
    for number, ((level, eps, sigma), share) in enumerate(values.items()):
        name = f"p{number}"
        listed.append({"name": name, "level": level, "eps": eps, "sigma": sigma, "averaged": 1})
        columns[f"{name}_correct"] = np.arange(IMAGES) < round(share * IMAGES)
        columns[f"{name}_psnr"] = np.full(IMAGES, psnr - (sigma or 0))
        columns[f"{name}_passed"] = np.full(IMAGES, passed)
    return Record(_header(KIND_POINTS, item, points=listed, **header), columns)


def lines(axes):
    """Label to the points of a line."""
    return {
        line.get_label(): np.column_stack([np.atleast_1d(line.get_xdata()), line.get_ydata()])
        for line in axes.get_lines()
    }


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_the_matrix_has_each_accuracy_and_its_interval_in_its_cell() -> None:
    shares = {("single", eps, s): eps + s / 10 for eps in (0.1, 0.3) for s in (0.0, 0.5)}
    record = points("sweep", {("clean", 0.0, 0.0): 0.9, **shares})
    figure = FIGURES["sweep"].draw([record])
    axes = figure.axes[0]
    assert texts(axes)[::2] == ["10.0", "15.0", "30.0", "35.0"]
    assert texts(axes)[-1] == "26\u201345"
    (image,) = axes.images
    assert image.get_array().tolist() == [[10, 15], [30, 35]]
    caption = FIGURES["sweep"].caption([record])
    assert "single 30.0 % at sigma 0, 35.0 % at sigma 0.5" in caption


def test_the_optimum_is_the_least_sigma_of_the_highest_accuracy() -> None:
    values = {("clean", 0.0, s): 0.8 for s in (0.0, 0.5, 1.0, 2.0)}
    values |= {("single", USUAL, s): v for s, v in {2.0: 0.1, 1.0: 0.4, 0.5: 0.4, 0.0: 0.3}.items()}
    record = points("tradeoff", values)
    figure = FIGURES["tradeoff"].draw([record])
    left, right = figure.axes
    star = next(line for line in left.get_lines() if line.get_marker() == "*")
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (0.5, 40)
    assert lines(left)["attacked, single"].tolist() == [[0, 30], [0.5, 40], [1, 40], [2, 10]]
    assert lines(right)["PSNR (right axis)"][:, 1].tolist() == [25, 24.5, 24, 23]
    assert "sigma 0.5 with 40.0 % (30.9\u201349.8)" in FIGURES["tradeoff"].caption([record])


def test_reliability_is_mean_and_deviation_of_the_trials() -> None:
    def trial(number, share):
        values = {("clean", 0.0, None): 0.8, ("clean", 0.0, 0.5): 0.7}
        values |= {("single", USUAL, 0.5): share, ("single", USUAL, None): share + 0.1}
        return points("reliability", values, trial=number)

    records = [trial(0, 0.2), trial(1, 0.4)]
    over_sigma, over_eps, psnr, _ = FIGURES["reliability"].draw(records).axes
    assert lines(over_sigma)["single"].tolist() == [[0.5, pytest.approx(30)]]
    assert lines(over_eps)["single"].tolist() == [[0, pytest.approx(80)], [8, pytest.approx(40)]]
    low, high = _band(over_sigma, -1)
    assert (low, high) == pytest.approx((30 - 10 * 2**0.5, 30 + 10 * 2**0.5))
    assert lines(psnr)["single"].tolist() == [[0.5, pytest.approx(24.5)]]
    assert "14.14 points around 40.0 %" in FIGURES["reliability"].caption(records)
    with pytest.raises(RecordError, match="alike"):
        FIGURES["reliability"].draw([records[0], points("reliability", {("clean", 0.0, 0.5): 1})])


def test_psnr_spreads_over_the_images_of_a_trial() -> None:
    def trial(number):
        values = {("clean", 0.0, None): 0.8, ("clean", 0.0, 0.5): 0.7, ("single", USUAL, 0.5): 0.3}
        record = points("reliability", values, trial=number)
        record.columns["p1_psnr"] = np.where(np.arange(IMAGES) % 2, 24.0, 26.0) + number
        return record

    axes = FIGURES["reliability"].draw([trial(0), trial(1)]).axes[2]
    assert lines(axes)["clean"].tolist() == [[0.5, pytest.approx(25.5)]]
    assert _band(axes, 0) == pytest.approx((24.5, 26.5))


def _band(axes, number):
    ends = axes.collections[number].get_paths()[0].vertices[:, 1]
    return ends.min(), ends.max()


def test_the_curves_start_at_the_clean_accuracy() -> None:
    both = points(
        "robustness-curve",
        {("clean", 0.0, None): 0.8, ("eot", 16 / 255, None): 0.1, ("eot", USUAL, None): 0.3},
    )
    bare = points(
        "robustness-curve",
        {("clean", 0.0, None): 0.6, ("single", USUAL, None): 0.4},
        sigma=None,
        name="AT",
    )
    (axes,) = FIGURES["robustness-curve"].draw([both, bare]).axes
    assert lines(axes)["eot"] == pytest.approx(np.array([[0, 80], [8, 30], [16, 10]]))
    assert lines(axes)["AT, no purifier"] == pytest.approx(np.array([[0, 60], [8, 40]]))


def test_variants_stand_in_the_order_of_their_widths() -> None:
    def variant(channels, passed):
        extra = {"latent_channels": channels, "constraint_db": 26.2, "bits_per_pixel": channels / 8}
        values = {("clean", 0.0, None): 0.6, ("single", USUAL, None): 0.4}
        return points("bottleneck", values, passed=passed, extra=extra)

    records = [variant(512, 0.9), variant(16, 0.5)]
    passing, quality, shares = FIGURES["bottleneck"].draw(records).axes
    assert lines(passing)["single"] == pytest.approx(np.array([[16, 50], [512, 90]]))
    assert lines(quality)["clean"].tolist() == [[16, 25], [512, 25]]
    assert lines(shares)["single"][:, 1].tolist() == [40, 40]
    assert "16 channels: 50 % (single)" in FIGURES["bottleneck"].caption(records)
    over_rate = FIGURES["rate-distortion"].draw(records).axes[0]
    assert lines(over_rate)["clean"][:, 0].tolist() == [2, 64]
    assert texts(over_rate) == ["\u03c3 0.60"] * 2
    with pytest.raises(RecordError, match="bits_per_pixel"):
        FIGURES["bottleneck"].draw([points("bottleneck", {("clean", 0.0, None): 1})])


def training(number: int, sigma: float, **more: float) -> Record:
    columns = {"step": np.array([1.0, 2.0]), "sigma": np.array([0.5, sigma])}
    columns |= {k: np.array([1.0, 2.0]) for k in ("latent_snr", "bits_per_latent", "mse")}
    header = _header(KIND_TRAINING, "sigma", steps=2, batch_size=500, psnr=26.2, **more)
    return Record(header | {"trial": number, "seed": number, "sigma": sigma}, columns)


def test_sigma_of_all_trials_and_its_mean() -> None:
    records = [training(0, 0.2), training(1, 0.24)]
    axes = FIGURES["sigma"].draw(records).axes
    assert lines(axes[0])["trial 1"].tolist() == [[0.5, 0.5], [1, 0.24]]
    assert lines(axes[0])["mean 0.220"][:, 1].tolist() == pytest.approx([0.22, 0.22])
    assert "sigma 0.220 (SD 0.0283)" in FIGURES["sigma"].caption(records)
    caption = FIGURES["sigma"].caption(records)
    assert "2 trainings, seeds 0, 1" in caption


def test_sigma_from_several_starts_is_named_by_them() -> None:
    records = [training(0, 0.2, start=0.1), training(0, 0.24, start=0.5)]
    named = lines(FIGURES["sigma-starts"].draw(records).axes[0])
    assert named["from 0.1"].tolist() == [[0.5, 0.5], [1, 0.2]]
    assert "from 0.5" in named
    caption = FIGURES["sigma-starts"].caption(records)
    assert "2 trainings, sigma at the start 0.1, 0.5, seeds 0" in caption


def _png(level):
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), level, np.uint8)).save(buffer, "png")
    return base64.b64encode(buffer.getvalue()).decode()


def pictures(trial=0, **columns):
    sets = ["clean", "attacked", "purified"]
    header = _header(KIND_PICTURES, "grids", sets=sets, level="single", images=2, trial=trial)
    made = {"index": np.arange(2), "label": np.array([0, 1])}
    for name, level in zip(sets, (100, 103, 90), strict=True):
        made[f"{name}_png"] = np.array([_png(level)] * 2)
        made[f"{name}_prediction"] = np.array([0, 0])
        made[f"{name}_confidence"] = np.array([0.5, 0.75])
    return Record(header, made | columns)


def test_the_difference_is_ten_times_what_was_added() -> None:
    axes = FIGURES["grids"].draw([pictures()]).axes
    shown = [each.images[0].get_array()[0, 0].tolist() for each in axes]
    assert shown == [[v] * 3 for v in (100, 100, 103, 103, 158, 158, 90, 90)]
    assert axes[0].get_xlabel() == "cat\n50 %"
    right, wrong = (each.xaxis.label.get_color() for each in axes[:2])
    assert right != wrong, "the second image is a dog"


def test_a_further_trial_adds_what_it_purifies_whatever_the_order_of_the_records() -> None:
    other = pictures(1, purified_png=np.array([_png(80)] * 2), attacked_png=np.array([_png(0)] * 2))
    figure = FIGURES["grids"].draw([other, pictures()])
    shown = [each.images[0].get_array()[0, 0].tolist()[0] for each in figure.axes]
    assert shown == [100, 100, 103, 103, 158, 158, 90, 90, 80, 80]
    assert figure.axes[8].get_ylabel() == "1"
    framed = [each.spines["left"].get_visible() for each in figure.axes[8:]]
    assert framed == [False, True], "the second image is a dog"
    assert "trials 1, framed" in FIGURES["grids"].caption([other, pictures()])
    assert "framed" not in FIGURES["grids"].caption([pictures()])


@pytest.mark.parametrize("text", ["no base64!", base64.b64encode(b"no picture").decode(), ""])
def test_a_picture_that_is_none_is_refused(text) -> None:
    with pytest.raises(RecordError, match="no PNG"):
        FIGURES["grids"].draw([pictures(clean_png=np.array([text] * 2))])


def test_speed_is_that_of_the_fastest_backend() -> None:
    about = {
        "a": {"what": "draws", "backend": "eager"},
        "b": {"what": "draws", "backend": "onnxruntime"},
        "c": {"what": "peer", "peer": "diffpure"},
        "e": {"what": "peer", "peer": "published-diffpure"},
        "d": {"what": "peak"},
    }
    times = {"a": 20.0, "b": 10.0, "c": 5000.0, "d": 1.0, "e": 9000.0}
    names = np.repeat(list(times), 3)
    columns = {
        "batch": np.ones(15, int),
        "contestant": names,
        "ms": np.array([times[name] for name in names]),
    }
    header = _header("bench", "speed", contestants=about, rounds=3, device="a processor")
    record = Record(header, columns)
    (axes,) = FIGURES["speed"].draw([record]).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["all our draws", "diffpure", "published-diffpure"]
    assert texts(axes) == ["10 ms", "5,000 ms", "9,000 ms"]
    caption = FIGURES["speed"].caption([record])
    assert " diffpure takes 500 times as long as all our draws." in caption
    assert " published-diffpure takes 900 times as long as all our draws." in caption


def test_no_record_no_figure() -> None:
    for drawing in FIGURES.values():
        with pytest.raises(RecordError, match="no record"):
            drawing.draw([])


def test_the_readers_own_style_and_backend_are_left_alone() -> None:
    import matplotlib

    record = points("robustness-curve", {("clean", 0.0, None): 0.8, ("eot", USUAL, None): 0.3})
    with matplotlib.rc_context({"lines.linewidth": 9, "axes.prop_cycle": "cycler('color', 'k')"}):
        before = dict(matplotlib.rcParams)
        (axes,) = FIGURES["robustness-curve"].draw([record]).axes
        assert dict(matplotlib.rcParams) == before
    assert {line.get_linewidth() for line in axes.get_lines()} == {1.2}

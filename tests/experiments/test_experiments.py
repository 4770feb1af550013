"""Every experiment by one run of all of them, and their figures from its records alone."""

from __future__ import annotations

import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from alp.attacks import FGSM
from alp.defences import Defended, Purifier
from alp.defences.checkpoint import weights_digest
from alp.defences.packaged import load
from alp.errors import AlpError, ConfigError, RecordError
from alp.evaluation import Point
from alp.experiments import EXPERIMENTS, trained
from alp.experiments.compact import COMPACT, NAME
from alp.experiments.cost import TRIAL
from alp.experiments.free_widths import OBJECTIVES, WIDTHS
from alp.experiments.protocol import Protocol
from alp.experiments.reproduce import reproduce
from alp.experiments.trained import Variant
from alp.experiments.trained_sweep import SET, TRAINED
from alp.experiments.tsne import own_class
from alp.experiments.workspace import Workspace
from alp.records import (
    KIND_CHAINS,
    KIND_EMBEDDING,
    KIND_OPTIMA,
    KIND_PICTURES,
    KIND_POINTS,
    KIND_ROBUSTNESS,
    KIND_SPECTRA,
    KIND_TRAINING,
    KIND_VERDICT,
    Record,
    measured,
    read_all,
    read_tree,
)
from alp.records.chains import after_each_step, amplification, scheme
from alp.records.record import LAYOUTS
from alp.report.figures import FIGURES

pytestmark = pytest.mark.slow

ITEMS = sorted(EXPERIMENTS)
KINDS = {
    "hierarchy": {KIND_ROBUSTNESS},
    "sigma": {KIND_TRAINING},
    "sigma-starts": {KIND_TRAINING},
    "tsne": {KIND_EMBEDDING},
    "zero-shot-tsne": {KIND_EMBEDDING},
    "spectra": {KIND_SPECTRA, KIND_POINTS},
    "grids": {KIND_PICTURES, KIND_POINTS},
    "honest": {KIND_VERDICT},
    "attacks": {KIND_VERDICT},
    "quantisation": {KIND_CHAINS, KIND_POINTS},
    "robustness-cost": {KIND_OPTIMA, KIND_POINTS},
    "compact": {KIND_VERDICT, KIND_POINTS},
    "speed": {"bench"},
}


def records_of(folder: Path, item: str) -> list[Record]:
    records, refused = read_all(folder / item / "records")
    assert refused == []
    return records


def workspace(folder: Path, protocol: Protocol, item: str = "sweep") -> Workspace:
    return Workspace(folder, item, protocol, lambda *what: None)


@pytest.mark.parametrize("item", ITEMS)
def test_records_name_their_experiment_and_seed(whole: Path, item: str) -> None:
    records = records_of(whole, item)
    assert records
    assert {record.kind for record in records} == KINDS.get(item, {KIND_POINTS})
    assert {record.header["item"] for record in records} == {item}
    assert all("seed" in record.header for record in records)


def test_every_experiment_has_a_figure_and_says_what_it_makes() -> None:
    assert set(EXPERIMENTS) <= set(FIGURES)
    assert all(experiment.__doc__ for experiment in EXPERIMENTS.values())


@pytest.mark.parametrize("item", ITEMS)
def test_figures_are_drawn_from_records_alone(whole: Path, item: str, tmp_path: Path) -> None:
    shutil.copytree(whole / item / "records", tmp_path / item / "records")
    records = records_of(tmp_path, item)
    figure = FIGURES[item].draw(records)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    root = ElementTree.fromstring(buffer.getvalue())
    assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) > 20
    assert figure.get_figwidth() == 3.5, "one column of print"
    for axes in figure.axes:
        named = axes.get_xlabel() + axes.get_ylabel() + axes.get_title(loc="left")
        shared = axes.get_shared_x_axes().joined(axes, figure.axes[-1])
        assert named or shared or axes.images, "axes have words"


@pytest.mark.parametrize("item", ITEMS)
def test_captions_say_protocol_images_and_seed(whole: Path, item: str, protocol) -> None:
    caption = FIGURES[item].caption(records_of(whole, item))
    assert re.search(r"seeds? 0", caption)
    assert caption.endswith(".")
    if item not in ("sigma", "sigma-starts", "speed"):
        assert re.search(r"\d+ images? of tiny \(test\)", caption)
        assert "L\u221e" in caption
    if item == "sweep":
        assert "FGSM" in caption
        assert "mean logits of 2 draws" in caption


@pytest.mark.parametrize(
    "item", sorted(set(ITEMS) - {"hierarchy", "honest", "attacks", "compact", "speed"})
)
def test_a_damaged_record_is_refused_in_words(whole: Path, item: str) -> None:
    """Without any one of its columns or of its needed keys a record cannot be drawn."""
    records = records_of(whole, item)
    for kind in {record.kind for record in records}:
        (first, *_) = (record for record in records if record.kind == kind)
        rest = [record for record in records if record is not first]
        for name in first.columns:
            columns = {key: values for key, values in first.columns.items() if key != name}
            with pytest.raises(RecordError, match=re.escape(name)):
                FIGURES[item].draw([Record(first.header, columns), *rest])
        for name in LAYOUTS[kind].header:
            header = {key: value for key, value in first.header.items() if key != name}
            with pytest.raises(RecordError, match=name):
                FIGURES[item].draw([Record(header, first.columns), *rest])


@pytest.mark.parametrize("item", ITEMS)
def test_foreign_records_are_refused(whole: Path, item: str) -> None:
    other = Record({"kind": "other", "name": "other"}, {"index": np.arange(3)})
    with pytest.raises(AlpError, match="kind"):
        FIGURES[item].draw([other])
    with pytest.raises(AlpError, match="no record"):
        FIGURES[item].caption([])


def test_models_are_trained_once_for_all(whole: Path) -> None:
    places = sorted(path.name for path in (whole / "models").iterdir())
    per_trial = [f"{name}-{n}" for name in TRIAL for n in (0, 1)]
    variants = ["c16-26.2dB", "c128-26.2dB", "c512-26.2dB", "c64-20dB", "c64-24dB", "c64-29dB"]
    variants += ["c64-26.2dB-stride8"]
    of_variants = [f"{name}-{v}" for name in ("purifier", "defended") for v in variants]
    names = ("least-rate-at-26-2-dB", "fixed-0-219--bounded", "64x4x4--no-linear-path")
    of_readings = [f"reading-{name}" for name in names]
    of_radii = [f"eps-{grey}-0" for grey in (0, 2, 8)]
    kinds = ("residual", "depthwise", "attention")
    of_kinds = [f"{kind}-{how}" for kind in kinds for how in ("standard", "adversarial")]
    alone = [*of_readings, *of_radii, *of_kinds]
    of_levels = [f"purifier-at-{sigma}" for sigma in ("0", "0.5", "1", "2")]
    free = [
        f"purifier-c{width}-{objective.replace(' ', '-')}"
        for width in WIDTHS
        for objective in OBJECTIVES
    ]
    alone += ["purifier-from-0.1", "purifier-from-1"]
    alone += ["diffusion", *of_levels, *free]
    assert places == sorted([*alone, *per_trial, *of_variants])


def test_a_purifier_is_trained_at_each_noise_level_and_one_is_set_to_all(whole: Path) -> None:
    records = {record.name: [] for record in records_of(whole, "trained-sweep")}
    for record in records_of(whole, "trained-sweep"):
        records[record.name].append(record)
    own, (moved,) = records[TRAINED], records[SET]
    levels = [{point.sigma for point in measured(record)} for record in own]
    assert levels == [{record.header["sigma"]} for record in own]
    assert sorted(set.union(*levels)) == sorted({point.sigma for point in measured(moved)})
    assert moved.header["sigma"] == 0.5
    assert len({record.header["weights"]["model"] for record in (*own, moved)}) == len(own) + 1


def test_the_compact_latent_holds_less_than_a_picture(whole: Path, protocol: Protocol) -> None:
    """A quarter of the values of the usual one at equal channels, on the same images as AT."""
    here = workspace(whole, protocol, "compact")
    usual, small = (
        trained.variant(here, each).purifier.encode(here.test_images.batch(torch.arange(1))[0])
        for each in (Variant(channels=64, psnr=20.0), COMPACT)
    )
    assert usual.numel() == 4 * small.numel()
    verdicts = [r for r in records_of(whole, "compact") if r.kind == KIND_VERDICT]
    assert {r.name for r in verdicts} == {trained.AT, NAME}
    assert len({r.header["data_digest"] for r in verdicts}) == 1
    assert "transfer" in next(r for r in verdicts if r.name == NAME).header["knowledge"]


def test_widths_are_compared_by_what_their_trainings_hold_equal(whole: Path) -> None:
    found = {}
    for record in records_of(whole, "bottleneck-free"):
        extra = record.header["extra"]
        place = f"purifier-c{extra['latent_channels']}-{extra['objective'].replace(' ', '-')}"
        kept = json.loads((whole / "models" / place / "training.json").read_text())
        assert kept["settings"]["purifier"]["latent_channels"] == extra["latent_channels"]
        found.setdefault(extra["objective"], []).append(kept["settings"]["rate"]["objective"])
    assert found == {
        "one PSNR": ["constrained"] * 2,
        "one weight of the rate": ["elbo"] * 2,
        "no rate": ["mse"] * 2,
    }


def test_the_page_shows_every_figure(whole: Path) -> None:
    kept, refused = read_tree(whole)
    assert refused == []
    assert {each.item for each in kept} == set(EXPERIMENTS)
    page = (whole / "report.html").read_text("utf-8")
    for item in EXPERIMENTS:
        assert f'id="figure-{item}"' in page
        for kind in ("svg", "pdf", "png"):
            assert (whole / "figures" / f"{item}.{kind}").stat().st_size > 1000
    assert "Refused records" not in page


@pytest.fixture
def pageless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the page, which takes longer than all the rest of a finished experiment."""
    monkeypatch.setattr("alp.experiments.reproduce.write_page", lambda folder: None)


@pytest.mark.usefixtures("pageless")
def test_a_repetition_makes_nothing_again(whole: Path, protocol: Protocol) -> None:
    def written(folder: Path) -> dict[str, tuple[int, bytes]]:
        files = [path for path in folder.rglob("*") if path.parent.name in ("records", "models")]
        return {str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in files if p.is_file()}

    before = written(whole)
    seen: list[str] = []
    reproduce(("sweep", "tsne", "hierarchy"), protocol, whole, lambda what, *_: seen.append(what))
    assert seen == []
    assert written(whole) == before


@pytest.mark.usefixtures("pageless")
@pytest.mark.parametrize("item", ["sweep", "grids", "bottleneck", "tsne"])
def test_killed_and_called_again_it_ends_at_the_same_bytes(
    whole: Path, protocol: Protocol, item: str, tmp_path: Path
) -> None:
    """Killed now and then, batch after batch, until nothing is left to do."""
    shutil.copytree(whole / "models", tmp_path / "models")
    for path in (tmp_path / "models").glob("*-c*"):
        shutil.rmtree(path)
    reports = kills = 0

    def killer(*what: object) -> None:
        nonlocal reports, kills
        reports += 1
        if reports % 5 == 2 and kills < 4:
            kills += 1
            raise KeyboardInterrupt

    for _ in range(6):
        try:
            reproduce((item,), protocol, tmp_path, killer)
            break
        except KeyboardInterrupt:
            continue
    assert kills
    for path in sorted((whole / item / "records").iterdir()):
        assert (tmp_path / item / "records" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.usefixtures("pageless")
def test_given_weights_stand_in_for_the_trainings_of_the_first_trial(
    whole: Path, protocol: Protocol, tmp_path: Path
) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    for name, place in (("adversarial", "adversarial-0"), ("defended", "defended-0")):
        shutil.copy(
            whole / "models" / place / "weights.safetensors", folder / f"{name}.safetensors"
        )
    out = tmp_path / "out"
    seen: list[str] = []
    given = replace(protocol, weights=str(folder), trials=1)
    reproduce(("sweep",), given, out, lambda what, *_: seen.append(what))
    assert not any(what.startswith("train") for what in seen)
    (mine,), (theirs,) = records_of(out, "sweep"), records_of(whole, "sweep")
    assert mine.same(theirs)
    assert workspace(out, given).given("defended", trial=1) is None
    assert workspace(out, given).given("standard", trial=0) is None


def test_a_package_gives_its_rows(protocol: Protocol, tmp_path: Path) -> None:
    here = workspace(tmp_path, replace(protocol, weights="cifar10-lite"))
    purifier = here.given("purifier", 0)
    assert purifier is not None
    assert isinstance(purifier.model, Purifier)
    assert weights_digest(load(purifier.path)) == weights_digest(purifier.model)
    assert here.given("purifier", 1) is None
    assert here.given("control", 0) is None


def test_a_given_defended_model_is_no_trial_among_others(
    protocol: Protocol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Trains(Exception): ...

    def refuse(*_: object, **__: object) -> None:
        raise Trains

    monkeypatch.setattr(Workspace, "train", refuse)
    given = replace(protocol, weights="cifar10-lite")
    alone = trained.defended(workspace(tmp_path, replace(given, trials=1)), 0)
    packaged = load(Path("cifar10-lite"))
    assert isinstance(packaged, Defended)
    assert weights_digest(alone.purifier) == weights_digest(packaged.purifier)
    with pytest.raises(Trains):
        trained.defended(workspace(tmp_path, replace(given, trials=2)), 0)


def test_a_record_of_another_model_is_refused(
    whole: Path, protocol: Protocol, tmp_path: Path
) -> None:
    here = workspace(whole, protocol)
    other, images = trained.standalone(here, 0), here.share_of_images(0.5)
    shutil.copytree(whole / "sweep", tmp_path / "sweep")
    with pytest.raises(RecordError, match="another model"):
        workspace(tmp_path, protocol).points(
            "defended-0", "other", other, FGSM(), [Point()], images
        )


def test_sigma_is_that_of_the_purifiers(whole: Path, protocol: Protocol) -> None:
    for trial, record in enumerate(records_of(whole, "sigma")):
        made = trained.purifier(workspace(whole, protocol), trial)
        assert record.header["sigma"] == made.model.sigma
        assert record.columns["sigma"].tolist() == made.record["curve"]["sigma"]


def test_experiments_share_their_images(whole: Path, protocol: Protocol) -> None:
    """The images of a share are the first ones of the whole."""
    here = workspace(whole, protocol)
    some = here.share_of_images(0.9)
    assert len(some) == 8
    assert np.array_equal(some.images.numpy(), here.test_images.images.numpy()[:8])


def test_a_grid_is_thinned_for_tests_only(whole: Path, protocol: Protocol) -> None:
    values = (1, 2, 3, 4, 5)
    assert workspace(whole, protocol).grid(values) == [1, 3, 5]
    assert workspace(whole, replace(protocol, scale="cpu")).grid(values) == [1, 2, 3, 4, 5]


def test_scales_have_their_numbers() -> None:
    assert (Protocol().trials, Protocol().images, Protocol().draws) == (5, 1000, 20)
    smoke = Protocol(scale="smoke", images=7)
    assert (smoke.trials, smoke.images, smoke.draws) == (2, 7, 4)
    with pytest.raises(ConfigError, match="trials"):
        Protocol(trials=-1)


def test_own_class_of_a_line_of_points() -> None:
    """Points on a line, two classes: the neighbours are counted by hand."""
    clean = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]], np.float32)
    labels = np.array([0, 0, 0, 1, 1, 1])
    assert own_class(clean, clean, labels, 2).tolist() == [1.0] * 6
    assert own_class(clean, clean, labels, 3).tolist() == pytest.approx([2 / 3] * 6)
    moved = clean.copy()
    moved[0] = 11.4  # nearest: 11, 12, 10, all of the other class
    assert own_class(moved, clean, labels, 3)[0] == 0


def test_an_attack_passes_whole_where_there_is_no_purifier(whole: Path) -> None:
    (bare,) = (r for r in records_of(whole, "robustness-curve") if r.header["sigma"] is None)
    for point in measured(bare):
        assert np.isnan(point.passed).all() == (point.eps == 0)
        assert point.eps == 0 or np.allclose(point.passed, 1)


def test_purified_rows_meet_what_fools_adversarial_training(whole: Path) -> None:
    levels = {r.name: set(r.header["knowledge"]) for r in records_of(whole, "honest")}
    assert "transfer" in levels[trained.DEFENDED]
    assert "transfer" not in levels[trained.AT]


def test_a_chain_tells_the_amplification_of_each_image(whole: Path) -> None:
    records = records_of(whole, "quantisation")
    found = [each for each in records if each.kind == KIND_CHAINS]
    assert {scheme(each) for each in found} == {
        "W8A8, minmax",
        "W4A8, minmax",
        "W4A8, reconstructed",
    }
    for record in found:
        times = amplification(record, 10)
        assert times is not None
        assert (times > 0).all()
        assert len(times) == record.header["images"]
        assert amplification(record, 25) is None
        apart, alone = (after_each_step(record, what) for what in ("difference", "fresh"))
        assert apart.shape == alone.shape == (10, record.header["images"])
        assert apart[0] == pytest.approx(alone[0]), "at first the chains differ by one step's error"
        assert apart[-1] == pytest.approx(record.columns["10_difference"])
        assert np.linalg.norm(alone, axis=0) == pytest.approx(record.columns["10_fresh"])
    points = [each for each in records if each.kind == KIND_POINTS]
    assert len(points) == 1 + len(found)

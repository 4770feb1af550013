"""A model evaluated into a folder: once, resumably, and on the stated terms."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from alp.attacks import PGD, Linf
from alp.bench import profile
from alp.config import ClassifierConfig, PurifierConfig
from alp.data import Images
from alp.defences import Defended, InputNoise, Purifier, ResNetLite, defend
from alp.defences.checkpoint import weights_digest
from alp.defences.transforms import JPEG, MedianSmoothing
from alp.errors import ConfigError, RecordError
from alp.evaluation import EvalConfig, PaperProtocol
from alp.evaluation.askers import askers
from alp.evaluation.queries import Queries
from alp.evaluation.saved import about, evaluate_into
from alp.evaluation.suites import Entry, Probes, Suite
from alp.executors import device_of
from alp.seeding import generator, initialising, uniform

BATCH = 100
CONFIG = EvalConfig(
    PaperProtocol(PGD(steps=1), ("oblivious", "single")), Linf(0.1), batch_size=BATCH
)


@pytest.fixture(scope="module")
def model() -> Defended:
    with initialising(0, "model"):
        head = ResNetLite(ClassifierConfig("tiny", 4))
        return defend(head, Purifier(PurifierConfig(8, 8, 1)), draws=2).eval()


@pytest.fixture(scope="module")
def images() -> Images:
    pixels = uniform((BATCH + 5, 3, 12, 12), generator(0, "pixels")).mul(255).to(torch.uint8)
    return Images.of(pixels, torch.arange(BATCH + 5) % 4, "abcd", "toy", "test")


def run(model, images, folder: Path, progress=lambda *done: None, **changes):
    config = replace(CONFIG, **changes)
    x = images.batch(torch.arange(1))[0]
    return evaluate_into(
        folder,
        "row-0",
        model,
        images,
        config,
        about(model, "row"),
        profile=lambda defence: profile(defence, x, warmup=1, repeats=3),
        progress=progress,
    )


@pytest.fixture(scope="module")
def whole(model, images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    run(model, images, folder)
    return folder


def test_the_record_says_what_was_evaluated(model, images, whole: Path) -> None:
    record = run(model, images, whole)
    header = record.header
    assert header["name"] == "row"
    assert header["draws"] == 2
    assert header["sigma"] == pytest.approx(model.purifier.sigma)
    assert header["weights"] == {"model": weights_digest(model)}
    assert header["latency"]["images"] == 1
    assert len(record.columns["single_correct"]) == len(images)
    assert (whole / "records" / "row-0.json").exists()
    assert not (whole / "parts" / "row-0").exists()


def test_a_finished_evaluation_is_read(model, images, whole: Path) -> None:
    files = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    run(model, images, whole, progress=lambda *done: pytest.fail("evaluated again"))
    assert files == {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}


def test_a_killed_evaluation_resumes_to_the_same_record(model, images, whole, tmp_path) -> None:
    """But for the latency, which is measured once and kept."""
    shutil.copytree(whole / "latency", tmp_path / "latency")

    def kill(what: str, done: float, total: float) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(model, images, tmp_path, progress=kill)
    assert not (tmp_path / "records").exists()
    kept = list((tmp_path / "parts").rglob("*.parquet"))
    assert len(kept) == 1, "the first batch is kept"
    run(model, images, tmp_path)
    for name in ("row-0.json", "row-0.parquet"):
        resumed, expected = (f / "records" / name for f in (tmp_path, whole))
        assert resumed.read_bytes() == expected.read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"threat": Linf(0.2)},
        {"batch_size": 50},
        {"suite": PaperProtocol(PGD(steps=2), ("oblivious", "single"))},
        {"suite": PaperProtocol(PGD(steps=1), ("single",))},
    ],
)
def test_a_record_of_other_terms_is_refused(model, images, whole: Path, change) -> None:
    with pytest.raises(RecordError, match="give another folder, or delete the record"):
        run(model, images, whole, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"opening": (Entry("single", PGD(2)),)},
        {"opening": (), "closing": (Entry("single", PGD(1)),)},
        {"evaluations": 2},
        {"probes": Probes(images=1)},
    ],
)
def test_a_record_of_another_suite_of_the_same_name_is_refused(
    model, images, tmp_path, change
) -> None:
    suite = Suite("mine", (Entry("single", PGD(1)),), (), 1, Probes(images=0))
    first = run(model, images, tmp_path, suite=suite)
    assert run(model, images, tmp_path, suite=suite).header == first.header
    with pytest.raises(RecordError, match="give another folder, or delete the record"):
        run(model, images, tmp_path, suite=replace(suite, **change))


@pytest.mark.parametrize(("first", "second"), [("1", "2"), ("2", "1")])
def test_a_record_of_the_other_seeding_is_refused(
    model, images, tmp_path, monkeypatch, first, second
) -> None:
    monkeypatch.setenv("ALP_SEEDING", first)
    run(model, images, tmp_path)
    monkeypatch.setenv("ALP_SEEDING", second)
    with pytest.raises(ConfigError, match=f"set ALP_SEEDING={first} to go on"):
        run(model, images, tmp_path)


def test_a_record_of_another_model_or_other_images_is_refused(model, images, whole) -> None:
    with pytest.raises(RecordError, match="this evaluation"):
        run(defend(model.classifier, model.purifier, draws=3), images, whole)
    with initialising(1, "model"):
        other = defend(ResNetLite(ClassifierConfig("tiny", 4)), model.purifier, draws=2).eval()
    with pytest.raises(RecordError, match="weights"):
        run(other, images, whole)
    with pytest.raises(RecordError, match="this evaluation"):
        run(model, images.subset(torch.arange(len(images)).flip(0)), whole)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda head: JPEG(head, quality=75), lambda head: JPEG(head, quality=30)),
        (lambda head: JPEG(head, quality=75), lambda head: MedianSmoothing(head)),
        (lambda head: InputNoise(head, 0.1), lambda head: InputNoise(head, 0.2)),
    ],
)
def test_a_record_of_other_settings_of_the_same_weights_is_refused(
    model, images, tmp_path, first, second
) -> None:
    """Settings are no weights: their digests agree."""
    made = first(model.classifier).eval()
    other = second(model.classifier).eval()
    assert weights_digest(made) == weights_digest(other)
    few = images.subset(torch.arange(3))
    suite = Suite("mine", (Entry("single", PGD(1)),), (), 1, Probes(images=0))
    run(made, few, tmp_path, suite=suite)
    with pytest.raises(RecordError, match="give another folder, or delete the record"):
        run(other, few, tmp_path, suite=suite)


def test_a_record_of_other_chosen_attackers_is_refused(model, images, tmp_path) -> None:
    known = {each.name: each for each in askers(True, (1, 2), 20, ())}
    chosen = [Queries(20, attackers=(known[name],)) for name in ("rays x1", "rays x2")]
    few = images.subset(torch.arange(3))
    run(model, few, tmp_path, suite=chosen[0])
    with pytest.raises(RecordError, match="has attackers"):
        run(model, few, tmp_path, suite=chosen[1])


def test_the_model_is_left_as_it_was(model, images, tmp_path) -> None:
    before = weights_digest(model)
    run(model, images.subset(torch.arange(3)), tmp_path)
    assert weights_digest(model) == before
    assert all(p.grad is None for p in model.parameters())


def test_devices() -> None:
    assert device_of("cpu") == "cpu"
    assert device_of("auto") in ("cpu", "cuda", "mps")
    with pytest.raises(ConfigError, match="no device 'abacus'; give one of: auto"):
        device_of("abacus")

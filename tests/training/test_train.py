"""Settings in, files out: what a training leaves, takes and refuses."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alp import __version__
from alp.attacks import NFGSM, PGD, Linf
from alp.config import ClassifierConfig, EngineConfig, OptimConfig, PurifierConfig, RateConfig
from alp.data import Images
from alp.defences import Defended, InputNoise, Purifier, ResNetLite
from alp.defences.checkpoint import load_model, save, weights_digest
from alp.defences.packaged import load_kind
from alp.errors import CheckpointError, ConfigError
from alp.seeding import generator, initialising, uniform
from alp.training import AdversaryConfig, ClassifierStage, JointStage, PurifierStage
from alp.training.tasks import perturbation
from alp.training.train import thin, train

CODE = PurifierConfig(latent_channels=8, width=8, blocks=1)
HEAD = ClassifierConfig(size="tiny", classes=4)
OPTIM = OptimConfig(epochs=1, batch_size=16, ema=0.9)
ENGINE = EngineConfig(accelerator="cpu", precision="32-true", threads=1)
STAGES = {
    "purifier": PurifierStage(CODE, optim=OPTIM),
    "classifier": ClassifierStage(HEAD, optim=OPTIM),
    "purified": ClassifierStage(HEAD, optim=OPTIM),
    "joint": JointStage(HEAD, optim=OPTIM),
    "input-noise": ClassifierStage(HEAD, optim=OPTIM, input_noise=0.1, draws=2),
    "frozen": PurifierStage(replace(CODE, noise="fixed", sigma=0.3), optim=OPTIM),
    "noiseless": PurifierStage(
        replace(CODE, noise="fixed", sigma=0.0), RateConfig("mse"), optim=OPTIM
    ),
}


@pytest.fixture(scope="module")
def toy() -> Images:
    pixels = uniform((32, 3, 8, 8), generator(0, "toy")).mul(255).to(torch.uint8)
    return Images.of(pixels, torch.arange(32) % 4, "abcd", "toy", "train")


@pytest.fixture(scope="module")
def parents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("parents")
    with initialising(0, "parents"):
        save(Purifier(CODE), folder / "purifier")
        save(ResNetLite(HEAD), folder / "classifier")
    return {name: folder / name for name in ("purifier", "classifier")}


def needs(name: str, parents: dict[str, Path]) -> dict[str, Path]:
    """The weights that a stage starts from."""
    if name == "joint":
        return parents
    return {"purifier": parents["purifier"]} if name == "purified" else {}


def run(name: str, folder: Path, toy: Images, parents, **settings):
    return train(STAGES[name], folder, toy, engine=ENGINE, **needs(name, parents), **settings)


@pytest.mark.parametrize("name", STAGES)
def test_a_training_leaves_weights_and_their_record(name, toy, parents, tmp_path) -> None:
    trained = run(name, tmp_path, toy, parents, seed=3)
    kinds = dict.fromkeys(["purifier", "frozen", "noiseless"], Purifier) | {
        "classifier": ResNetLite, "input-noise": InputNoise,
    }  # fmt: skip
    assert type(trained.model) is kinds.get(name, Defended)
    assert not any(module.training for module in trained.model.modules())
    assert trained.path == tmp_path / "weights.safetensors"
    assert weights_digest(load_model(trained.path)) == weights_digest(trained.model)
    record = json.loads((tmp_path / "training.json").read_text())
    assert record == trained.record
    assert record["weights_digest"] == weights_digest(trained.model)
    assert record["data_digest"] == toy.digest
    assert (record["seed"], record["seeding"]) == (3, 2)
    assert record["steps"] == 2
    assert record["versions"] == {"alp": __version__, "torch": torch.__version__}
    digests = {kind: weights_digest(load_model(path)) for kind, path in parents.items()}
    assert record["parents"] == {kind: digests[kind] for kind in needs(name, parents)}
    assert all(math.isfinite(loss) for loss in record["curve"]["loss"])


def test_a_frozen_sigma_stays_where_it_is(toy, parents, tmp_path) -> None:
    """In its own training and in the joint one, where a learned one moves."""
    for name, sigma in (("frozen", 0.3), ("noiseless", 0.0)):
        front = run(name, tmp_path / name, toy, parents)
        stage = replace(STAGES["joint"], rate=0.0)
        weights = {"purifier": front.path, "classifier": parents["classifier"]}
        joint = train(stage, tmp_path / f"{name}-joint", toy, engine=ENGINE, **weights)
        assert front.model.sigma == pytest.approx(sigma, abs=1e-7)
        assert joint.model.purifier.sigma == front.model.sigma
        assert weights_digest(joint.model.purifier) != weights_digest(front.model)
    learned = run("joint", tmp_path / "learned", toy, parents)
    assert learned.model.purifier.sigma != load_model(parents["purifier"]).sigma


def test_controls_that_contradict_themselves_are_refused(toy, parents, tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"rate is infinite.*'mse'"):
        PurifierStage(replace(CODE, noise="fixed", sigma=0.0))
    front = run("noiseless", tmp_path / "front", toy, parents)
    weights = {"purifier": front.path, "classifier": parents["classifier"]}
    with pytest.raises(ConfigError, match=r"rate is infinite.*give the rate 0"):
        train(STAGES["joint"], tmp_path / "joint", toy, engine=ENGINE, **weights)
    stage = STAGES["input-noise"]
    with pytest.raises(ConfigError, match=r"input_noise is 0\.1.*leave one of them out"):
        train(stage, tmp_path / "both", toy, engine=ENGINE, purifier=parents["purifier"])
    with pytest.raises(ConfigError, match="input_noise"):
        replace(stage, input_noise=-0.1)


@pytest.mark.parametrize("name", STAGES)
def test_a_finished_training_is_not_repeated(name, toy, parents, tmp_path) -> None:
    first = run(name, tmp_path, toy, parents)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    steps: list[int] = []
    again = run(name, tmp_path, toy, parents, report=lambda step, *_: steps.append(step))
    assert steps == []
    assert weights_digest(again.model) == weights_digest(first.model)
    assert again.record == first.record
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


def test_the_same_settings_give_the_same_weights_and_another_seed_others(
    toy, parents, tmp_path
) -> None:
    digests = [
        run("purifier", tmp_path / str(place), toy, parents, seed=seed).record["weights_digest"]
        for place, seed in enumerate([0, 0, 1])
    ]
    assert digests[0] == digests[1] != digests[2]


def test_where_it_runs_does_not_make_it_another_training(toy, parents, tmp_path) -> None:
    first = run("purifier", tmp_path, toy, parents)
    elsewhere = EngineConfig("cpu", 1, "bf16-mixed", threads=2, save_every=5.0)
    again = train(STAGES["purifier"], tmp_path, toy, engine=elsewhere)
    assert again.record == first.record


@pytest.mark.parametrize("changed", ["seed", "stage", "data", "parent"])
def test_the_folder_of_another_training_is_refused(changed, toy, parents, tmp_path) -> None:
    run("purified", tmp_path / "run", toy, parents)
    stage, images, weights = STAGES["purified"], toy, dict(needs("purified", parents))
    if changed == "stage":
        stage = ClassifierStage(HEAD, optim=OPTIM, label_smoothing=0.1)
    if changed == "data":
        images = Images.of(toy.images.flip(3), toy.labels, toy.classes, "toy", "train")
    if changed == "parent":
        with initialising(1, "parents"):
            save(Purifier(CODE), tmp_path / "other")
        weights = {"purifier": tmp_path / "other"}
    with pytest.raises(CheckpointError, match="other settings; give another folder"):
        train(stage, tmp_path / "run", images, engine=ENGINE, seed=changed == "seed", **weights)


@pytest.mark.parametrize(("first", "second"), [("1", "2"), ("2", "1")])
def test_a_training_of_the_other_seeding_is_refused(
    toy, parents, tmp_path, monkeypatch, first, second
) -> None:
    monkeypatch.setenv("ALP_SEEDING", first)
    made = run("purifier", tmp_path / "first", toy, parents)
    assert made.record.get("seeding") == {"1": None, "2": 2}[first]
    monkeypatch.setenv("ALP_SEEDING", second)
    with pytest.raises(ConfigError, match=f"set ALP_SEEDING={first} to go on"):
        run("purifier", tmp_path / "first", toy, parents)
    other = run("purifier", tmp_path / "second", toy, parents)
    assert other.record["weights_digest"] != made.record["weights_digest"]
    monkeypatch.setenv("ALP_SEEDING", first)
    assert run("purifier", tmp_path / "first", toy, parents).record == made.record


def test_damaged_or_exchanged_weights_of_a_finished_training_are_refused(
    toy, parents, tmp_path
) -> None:
    run("purifier", tmp_path, toy, parents)
    weights = tmp_path / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-4] + b"oops")
    with pytest.raises(CheckpointError, match="damaged"):
        run("purifier", tmp_path, toy, parents)
    save(load_model(parents["purifier"]), weights)
    with pytest.raises(CheckpointError, match=r"is not what .*training\.json describes"):
        run("purifier", tmp_path, toy, parents)
    weights.unlink()
    with pytest.raises(CheckpointError, match="there is no model file"):
        run("purifier", tmp_path, toy, parents)
    (tmp_path / "training.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"training\.json cannot be read"):
        run("purifier", tmp_path, toy, parents)


def test_stages_and_weights_that_do_not_go_together_are_refused(toy, parents, tmp_path) -> None:
    purifier, classifier = parents["purifier"], parents["classifier"]
    with pytest.raises(ConfigError, match="takes no weights of a classifier; leave classifier out"):
        train(STAGES["purifier"], tmp_path, toy, classifier=classifier)
    with pytest.raises(ConfigError, match="JointStage needs weights of a purifier"):
        train(STAGES["joint"], tmp_path, toy, classifier=classifier)
    with pytest.raises(ConfigError, match="holds a ResNetLite, which has no purifier"):
        train(STAGES["purified"], tmp_path, toy, purifier=classifier)
    with pytest.raises(
        CheckpointError, match="holds a Purifier, which cannot be trained; give the weights"
    ):
        train(STAGES["classifier"], tmp_path, toy, classifier=purifier)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("from_weights", [False, True])
def test_a_wrong_number_of_classes_is_refused(toy, parents, tmp_path, from_weights: bool) -> None:
    fewer = Images.of(toy.images, toy.labels % 3, "abc", "toy", "train")
    weights = {"classifier": parents["classifier"]} if from_weights else {}
    said = "tells 4 classes apart, and toy has 3" if from_weights else "is 4, but toy has 3"
    with pytest.raises(ConfigError, match=said):
        train(STAGES["classifier"], tmp_path, fewer, engine=ENGINE, **weights)


def test_a_classifier_starts_from_the_weights_given(toy, parents, tmp_path) -> None:
    """And keeps their architecture."""
    small = OptimConfig(epochs=0.5, batch_size=16, lr=1e-9, ema=0.0)
    stage = ClassifierStage(ClassifierConfig("lite", 4), optim=small)
    trained = train(stage, tmp_path, toy, engine=ENGINE, classifier=parents["classifier"])
    start = load_model(parents["classifier"])
    assert trained.model.config == start.config == HEAD
    for one, other in zip(trained.model.parameters(), start.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(("name", "moved"), [("purified", False), ("joint", True)])
def test_the_purifier_moves_in_the_joint_stage_alone(name, moved, toy, parents, tmp_path) -> None:
    trained = run(name, tmp_path, toy, parents)
    before = weights_digest(load_model(parents["purifier"]))
    assert (weights_digest(trained.model.purifier) != before) is moved


def test_the_adversaries() -> None:
    assert perturbation(AdversaryConfig()) is None
    x, y = uniform((2, 3, 8, 8), generator(0, "x")), torch.tensor([0, 1])

    def target(images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, :4] ** 2

    for adversary, attack in [
        (AdversaryConfig("nfgsm", eps=0.1), NFGSM()),
        (AdversaryConfig("pgd", eps=0.1, steps=3), PGD(steps=3)),
        (AdversaryConfig("trades", eps=0.1, steps=2), PGD(steps=2)),
    ]:
        perturb = perturbation(adversary)
        assert perturb is not None
        attacked = perturb(target, x, y, generator(0, "attack"))
        expected = attack(target, x, y, Linf(0.1), generator(0, "attack"))
        assert torch.equal(attacked, expected)
    far = perturbation(AdversaryConfig("pgd", norm="l2", eps=0.5))(target, x, y, generator(0, "a"))
    assert (far - x).flatten(1).norm(dim=1) == pytest.approx(0.5, abs=1e-3)


def test_a_model_of_another_kind_is_refused(parents, tmp_path) -> None:
    assert isinstance(load_kind(parents["purifier"], Purifier), Purifier)
    with pytest.raises(CheckpointError, match="give the weights of a Defended"):
        load_kind(parents["purifier"], Defended)


@given(count=st.integers(0, 60), points=st.integers(1, 20), data=st.data())
def test_thinning_keeps_means(count: int, points: int, data: st.DataObject) -> None:
    losses = data.draw(st.lists(st.floats(-5, 5), min_size=count, max_size=count))
    curve = thin({"loss": losses} if count else {}, points)
    assert len(curve["step"]) == min(count, points)
    if count:
        assert curve["step"][-1] == count
        assert curve["step"] == sorted(set(curve["step"]))
        edges = [0.0, *curve["step"]]
        widths = [high - low for low, high in pairwise(edges)]
        total = sum(w * loss for w, loss in zip(widths, curve["loss"], strict=True))
        assert total == pytest.approx(sum(losses), abs=1e-6)


def test_a_short_history_stays_as_it_is() -> None:
    assert thin({"loss": [3.0, 1.0]}, 5) == {"step": [1.0, 2.0], "loss": [3.0, 1.0]}

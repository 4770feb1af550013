"""What makes a training impossible or worthless is found before it, or is said."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from alp.config import ClassifierConfig, EngineConfig, OptimConfig, PurifierConfig
from alp.data import Images
from alp.data.augment import Augment
from alp.defences import Purifier, ResNetLite
from alp.defences.checkpoint import load_model, save
from alp.errors import AlpError, CheckpointError, ConfigError, OutputError, TrainingError
from alp.seeding import generator, uniform
from alp.training import ClassifierStage, PurifierStage
from alp.training import loop as loop_module
from alp.training.state import Progress, load_state, save_state
from alp.training.train import train

SHORT = OptimConfig(epochs=0.5, batch_size=8, ema=0.0, lr=0.01)
STAGE = ClassifierStage(
    ClassifierConfig("tiny", 4), optim=SHORT, augment=Augment(shift=0, cutout=0)
)
FRONT = PurifierStage(PurifierConfig(2, 2, 1), optim=SHORT)
ENGINE = EngineConfig(accelerator="cpu", threads=1)


def toy(labels: torch.Tensor | None = None, names: str = "abcd") -> Images:
    pixels = uniform((16, 3, 8, 8), generator(0, "toy")).mul(255).to(torch.uint8)
    return Images.of(
        pixels, torch.arange(16) % 4 if labels is None else labels, names, "toy", "train"
    )


def test_a_folder_that_cannot_be_written_is_found_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "taken" / "weights.safetensors").mkdir(parents=True)
    monkeypatch.setattr(loop_module, "fit", lambda *a: pytest.fail("it trained first"))
    for place in ("file", "file/below", "a" * 300, "taken"):
        with pytest.raises(OutputError):
            train(STAGE, tmp_path / place, toy(), engine=ENGINE)


def test_class_names_go_from_the_images_to_the_weights(tmp_path: Path) -> None:
    made = train(STAGE, tmp_path, toy(), engine=ENGINE)
    assert made.defence.classes == tuple("abcd")
    assert load_model(made.path).classes == tuple("abcd")
    assert train(STAGE, tmp_path, toy(), engine=ENGINE).defence.classes == tuple("abcd")


@pytest.mark.parametrize(("names", "said"), [("abdc", "another order"), ("abce", "a, b, c, d")])
def test_weights_of_other_classes_are_not_trained_on(tmp_path: Path, names: str, said: str) -> None:
    start = ResNetLite(STAGE.classifier)
    start.classes = "abcd"
    save(start, tmp_path / "start")
    with pytest.raises(ConfigError, match=said):
        train(
            STAGE, tmp_path / "out", toy(names=names), engine=ENGINE, classifier=tmp_path / "start"
        )
    train(STAGE, tmp_path / "out", toy(), engine=ENGINE, classifier=tmp_path / "start")


def test_one_class_is_refused_where_it_is_learned(tmp_path: Path) -> None:
    same = torch.full((16,), 2)
    with pytest.raises(ConfigError, match="all 16 training images of toy are of one class"):
        train(STAGE, tmp_path, toy(same), engine=ENGINE)
    train(FRONT, tmp_path, toy(same), engine=ENGINE)  # a purifier learns no classes


def test_a_class_without_images_is_said_in_the_record(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="no training image of c, d"):
        made = train(STAGE, tmp_path / "some", toy(torch.arange(16) % 2), engine=ENGINE)
    assert made.record["warnings"] == [
        "toy has no training image of c, d: the classifier cannot learn them"
    ]
    assert "warnings" not in train(STAGE, tmp_path / "all", toy(), engine=ENGINE).record


def test_weights_that_are_not_finite_are_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the last step, whose loss was finite still."""
    fit = loop_module.fit

    def spoilt(*given: object) -> tuple[nn.Module, Progress]:
        module, progress = fit(*given)
        module.head.bias.data[0] = torch.inf
        return module, progress

    monkeypatch.setattr(loop_module, "fit", spoilt)
    with pytest.raises(TrainingError, match=r"head\.bias are not finite.*lower optim\.lr"):
        train(STAGE, tmp_path, toy(), engine=ENGINE)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("state") / "checkpoint.safetensors"
    save_state(path, "key", *objects(), Progress(2, 1.5, {"loss": [1.0, 0.5]}))
    return path


def objects() -> tuple[nn.Module, None, torch.optim.Optimizer]:
    task = nn.Linear(2, 3)
    optimizer = torch.optim.AdamW(task.parameters())
    task(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return task, None, optimizer


@given(data=st.data(), count=st.integers(1, 4))
def test_a_changed_checkpoint_is_the_same_or_refused(
    state: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, count: int
) -> None:
    content = bytearray(state.read_bytes())
    for _ in range(count):
        place = data.draw(st.integers(0, len(content) - 1))
        new = data.draw(st.binary(max_size=3) | st.sampled_from([b"[" * 9999, b'"', b"1e999"]))
        content[place : place + data.draw(st.integers(0, 3))] = new
    path = tmp_path_factory.mktemp("changed") / "checkpoint.safetensors"
    path.write_bytes(content)
    with suppress(CheckpointError):
        assert load_state(path, "key", *objects()) == Progress(2, 1.5, {"loss": [1.0, 0.5]})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    train(STAGE, folder, toy(), engine=ENGINE)
    return folder


@given(
    key=st.sampled_from(["key", "weights_digest", "curve", "seconds", "steps", "parameters"]),
    value=json_values,
    lost=st.booleans(),
)
def test_any_record_of_a_finished_training_is_read_or_refused(
    finished: Path, key: str, value: object, lost: bool
) -> None:
    path = finished / "training.json"
    whole = path.read_text("utf-8")
    record = {**json.loads(whole), key: value}
    if lost:
        del record[key]
    try:
        path.write_text(json.dumps(record), "utf-8")
        with suppress(AlpError):
            assert train(STAGE, finished, toy(), engine=ENGINE).record.keys() >= {"curve", "steps"}
    finally:
        path.write_text(whole, "utf-8")


def test_a_purifier_has_no_class_names(tmp_path: Path) -> None:
    assert isinstance(train(FRONT, tmp_path, toy(), engine=ENGINE).model, Purifier)

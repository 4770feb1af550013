"""Class names travel with weights, and are compared with those of the data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from alp.config import ClassifierConfig, PurifierConfig
from alp.data import Images
from alp.defences import Defended, InputNoise, Purifier, ResNetLite, defend
from alp.defences.adapters import FixedCallable, HalfPrecision
from alp.defences.checkpoint import load_model, save
from alp.defences.classes import require_same_classes
from alp.errors import CheckpointError, ConfigError

NAMES = ("cat", "dog", "cow", "hen")


def classifier(names: tuple[str, ...] | None = NAMES) -> ResNetLite:
    model = ResNetLite(ClassifierConfig("tiny", 4)).eval()
    model.classes = names
    return model


def defended(names: tuple[str, ...] | None = NAMES) -> Defended:
    return defend(classifier(names), Purifier(PurifierConfig(4, 4, 1)), 3)


def data(*names: str) -> Images:
    return Images.of(
        torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.tensor([0, 1]), names, "farm", "test"
    )


def test_a_defence_has_the_names_of_the_classifier_inside() -> None:
    model = defended()
    for outer in (model, model.with_draws(2), model.at_sigma(0.1), HalfPrecision(model)):
        assert outer.classes == NAMES
    model.classes = NAMES[::-1]
    assert model.classifier.classes == NAMES[::-1]
    assert InputNoise(classifier(), 0.1).classes == NAMES
    assert defended(None).classes is None


def test_what_is_no_defence_of_ours_has_names_of_its_own() -> None:
    for model in (FixedCallable(lambda x: x), defend(torch.nn.Flatten(), Purifier())):
        assert model.classes is None
        model.classes = list(NAMES)
        assert model.classes == NAMES


@pytest.mark.parametrize("make", [classifier, defended])
def test_names_are_saved_and_read(make, tmp_path: Path) -> None:
    save(make(), tmp_path / "w")
    assert load_model(tmp_path / "w").classes == NAMES


@pytest.mark.parametrize("make", [classifier, defended])
def test_a_file_without_names_has_the_bytes_that_it_always_had(make, tmp_path: Path) -> None:
    """No key more in its header, so that the digests of packaged files stay."""
    save(make(None), tmp_path / "w")
    with safe_open(tmp_path / "w", "pt") as file:
        assert set(file.metadata()) == {"format", "model", "digest", "model_digest"}
    assert load_model(tmp_path / "w").classes is None


def test_changed_names_in_an_intact_file_are_refused(tmp_path: Path) -> None:
    save(classifier(), tmp_path / "w")
    content = (tmp_path / "w").read_bytes()
    assert content.count(b"hen") == 1
    (tmp_path / "w").write_bytes(content.replace(b"hen", b"pig"))
    with pytest.raises(CheckpointError, match="damaged"):
        load_model(tmp_path / "w")


@given(names=st.lists(st.text() | st.characters(codec=None), min_size=4, max_size=4, unique=True))
def test_any_names_come_back(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("names") / "w"
    save(classifier(tuple(names)), path)
    assert load_model(path).classes == tuple(names)


@pytest.mark.parametrize("names", [(), ("a", "a"), ("a", 1), 3, {"a": 0}])
def test_what_is_no_list_of_names_is_refused(names) -> None:
    with pytest.raises(ConfigError, match=r"class names are|have the name 'a'"):
        classifier().classes = names


@pytest.mark.parametrize(
    ("known", "there", "said"),
    [
        (NAMES, ("cat", "dog", "cow"), r"4 classes.*cat, dog, cow, hen.*farm has 3.*cat, dog, cow"),
        (None, ("cat", "dog", "cow"), r"4 classes apart, and farm has 3 \(cat, dog, cow\)"),
        (
            NAMES,
            ("cat", "cow", "dog", "hen"),
            "another order.*number 1 is 'dog'.*'cow' in the data",
        ),
        (NAMES, ("cat", "dog", "cow", "pig"), r"cat, dog, cow, hen.*farm has.*cat, dog, cow, pig"),
    ],
)
@pytest.mark.parametrize("make", [classifier, defended])
def test_other_classes_are_refused_with_both(make, known, there, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        require_same_classes(make(known), data(*there), 4)


def test_the_same_classes_are_taken() -> None:
    require_same_classes(defended(), data(*NAMES), 4)
    require_same_classes(defended(), data(*NAMES))
    require_same_classes(classifier(None), data("a", "b", "c", "d"), 4)
    require_same_classes(lambda x: x, data("a", "b", "c", "d"), 4)


def test_a_thousand_names_make_no_wall_of_text() -> None:
    model = FixedCallable(lambda x: x)
    model.classes = [f"class {k}" for k in range(1000)]
    with pytest.raises(ConfigError) as told:
        require_same_classes(model, data(*NAMES), 1000)
    assert len(str(told.value)) < 600


def test_names_are_not_in_the_description() -> None:
    """It is compared with the manifest's and the hub's, which older alps wrote."""
    assert "classes" not in json.dumps(defended().describe()).replace('"classes": 4', "")

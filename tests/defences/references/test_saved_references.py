"""A defence before somebody else's classifier on disk: the reference and a digest, no code."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest
import torch
from safetensors import safe_open

import alp
from alp.defences import InputNoise
from alp.defences.smoothed import Smoothed
from alp.errors import CheckpointError, ConfigError
from alp.seeding import generator


def draw() -> torch.Generator:
    return generator(0, "saved")


def test_it_holds_the_purifier_and_the_reference_alone(program, new_purifier, new_images) -> None:
    model = alp.load("net.pt2,mean=0.5,std=0.25,classes=a:b:c:d:e")
    defended = alp.defend(model, new_purifier(), 2)
    alp.save(defended, "defended.safetensors")
    with safe_open("defended.safetensors", "pt") as file:
        names = list(file.keys())
        description = json.loads(file.metadata()["model"])
    assert not any(name.startswith("classifier.module") for name in names)
    assert any(name.startswith("purifier.") for name in names)
    assert description["reference"]["reference"].startswith("net.pt2")
    back, x = alp.load("defended.safetensors"), new_images(3, 16, 16)
    assert torch.allclose(back(x, draw()), defended(x, draw()), atol=1e-6)
    assert back.classes == ("a", "b", "c", "d", "e")
    assert back.classifier.frame == model.frame
    assert back.describe() == defended.describe()
    twin = deepcopy(back)
    assert torch.allclose(twin(x, draw()), back(x, draw()), atol=1e-6)


@pytest.mark.parametrize(
    "wrap", [lambda head: InputNoise(head, 0.1), lambda head: Smoothed(head, 0.1)]
)
def test_noise_before_it_is_saved_too(program, wrap, new_images) -> None:
    defence, x = wrap(alp.load("net.pt2")), new_images(2, 16, 16)
    alp.save(defence, "noise.safetensors")
    back = alp.load("noise.safetensors")
    assert torch.allclose(back.logits(x, draw(), 1), defence.logits(x, draw(), 1), atol=1e-6)


def test_code_runs_only_where_somebody_names_it(place, new_purifier, new_images) -> None:
    defended = alp.defend(alp.load("net.py:make"), new_purifier(), 2)
    alp.save(defended, "defended.safetensors")
    with pytest.raises(
        CheckpointError, match=r"load 'defended\.safetensors,classifier=net\.py:make'"
    ):
        alp.load("defended.safetensors")
    back, x = alp.load("defended.safetensors,classifier=net.py:make"), new_images(2, 16, 16)
    assert torch.allclose(back(x, draw()), defended(x, draw()), atol=1e-6)


def test_another_classifier_is_refused(program, place, new_purifier) -> None:
    alp.save(alp.defend(alp.load("net.pt2"), new_purifier()), "defended.safetensors")
    with pytest.raises(CheckpointError, match="is not the one that the file was made with"):
        alp.load("defended.safetensors,classifier=net.py:make")
    with pytest.raises(CheckpointError, match="has no place for the classifier 'net'"):
        alp.load("defended.safetensors,classifier=net")
    program.rename(place / "gone.pt2")
    with pytest.raises(CheckpointError, match=r"there is no file net\.pt2"):
        alp.load("defended.safetensors")
    alp.load("defended.safetensors,classifier=gone.pt2")


def test_a_file_beside_the_weights_is_found(program, place, new_purifier, monkeypatch) -> None:
    alp.save(alp.defend(alp.load("net.pt2"), new_purifier()), "defended.safetensors")
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    assert alp.load(place / "defended.safetensors").classifier.reference.place.endswith("net.pt2")


def test_a_purifier_is_put_before_the_classifier_that_is_named(
    place, new_purifier, new_images
) -> None:
    alp.save(new_purifier(), "purifier.safetensors")
    model, x = alp.load("purifier.safetensors,classifier=net.py:make"), new_images(2, 16, 16)
    assert isinstance(model, alp.Defended)
    torch.testing.assert_close(model.bare(x), alp.load("net.py:make")(x))


def test_a_classifier_alone_has_no_place_for_another(place) -> None:
    alp.save(alp.load("cifar10-lite/standard"), "plain.safetensors")
    with pytest.raises(CheckpointError, match="leave it out"):
        alp.load("plain.safetensors,classifier=net.py:make")


def test_other_modules_are_not_saved_but_told_how(place, new_purifier) -> None:
    bare = alp.load("net.py:make").module
    with pytest.raises(ConfigError, match="name it by a reference"):
        alp.save(alp.defend(bare, new_purifier()), "defended.safetensors")

"""A user's own code as a classifier."""

from __future__ import annotations

import pytest
import torch

import alp
from alp.defences.adapters import RandomCallable
from alp.errors import CheckpointError, ConfigError


def test_a_function_a_class_and_a_dotted_module(place, monkeypatch, new_images) -> None:
    monkeypatch.syspath_prepend(place)
    x = new_images(2, 16, 16)
    first = alp.load("net.py:make")
    assert not any(each.training for each in first.modules())
    for other in ("net.py:Net", "net:make"):
        assert torch.equal(alp.load(other)(x), first(x)), "random weights are the same each time"
    assert torch.equal(first(x), first.module(x))


def test_probabilities_are_found_and_become_logits(place, new_images) -> None:
    x = new_images(2, 16, 16)
    model = alp.load("net.py:Sure")
    assert model.outputs == "probabilities"
    assert torch.allclose(model(x).softmax(1), model.module(x), atol=1e-6)
    assert alp.load("net.py:Net").outputs == "logits"


def test_what_the_user_says_goes_inside(place, new_images) -> None:
    x = new_images(2, 16, 16)
    model = alp.load("net.py:make,mean=0.5,std=0.1:0.2:0.4,size=16,classes=a:b:c:d:e")
    scale = torch.tensor([0.1, 0.2, 0.4]).view(1, 3, 1, 1)
    assert torch.allclose(model(x), model.module((x - 0.5) / scale), atol=1e-6)
    assert model.classes == ("a", "b", "c", "d", "e")
    assert (model.frame.height, model.frame.width) == (16, 16)
    (place / "names.txt").write_text("ant\nbee\n\ncow\ndog\neel\n")
    assert alp.load("net.py:make,classes=names.txt").classes[4] == "eel"


def test_callables_that_are_no_modules(place, new_images) -> None:
    x = new_images(2, 16, 16)
    fixed = alp.load("net.py:answer,mean=0.5")
    assert torch.equal(fixed(x), fixed.module(x - 0.5))
    random = alp.load("net.py:noisy,classes=a:b:c:d:e")
    assert isinstance(random, RandomCallable)
    assert random.classes == ("a", "b", "c", "d", "e")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("none.py:make", CheckpointError, "there is no file none.py"),
        ("net.py:mak", CheckpointError, "net.py has no 'mak'; it has: .*make"),
        ("nowhere.at.all:make", CheckpointError, "cannot be imported"),
        ("net.py:broken", CheckpointError, "ZeroDivisionError: of the user"),
        ("net.py:number", ConfigError, "gives an object of the type int; give a torch module"),
        ("net.py:noisy,mean=0.5", ConfigError, "takes no mean"),
        ("net.py:make,sized=3", ConfigError, "no setting 'sized=3'"),
        ("net.py:make,size=a", ConfigError, "size=a: give height and width"),
        ("net.py:make,size=inf", ConfigError, "size=inf: give height and width"),
        ("net.py:make,mean=nan", ConfigError, "mean=nan: give"),
        ("net.py:make,size=1:2:3", ConfigError, "size=1:2:3: give"),
        ("net.py:make,mean=1:2", ConfigError, "mean=1.0:2.0: give one number, or three"),
        ("net.py:make,std=0", ConfigError, "std=0.0"),
        ("net.py:make,outputs=odds", ConfigError, "give logits or probabilities"),
        ("net.py:make,classes=a:b", ConfigError, "tells 5 classes apart, and 2 names"),
        ("net.py:make,classes=a:a:b:c:d", ConfigError, "two classes have the name 'a'"),
        ("net.py:make,size=8,interpolation=magic", ConfigError, "magic"),
        ("net.py:make,crop=0.5", ConfigError, "crop needs a size"),
        ("net.py:make,size=8,crop=0.5:0.9", ConfigError, "crop=0.5:0.9: give one share"),
        ("net.py:make,size=0", ConfigError, "FrameConfig.height is 0"),
    ],
)
def test_wrong_references_say_what_to_do(place, text, error, message) -> None:
    with pytest.raises(error, match=message):
        alp.load(text)


def test_code_without_a_function_is_named(tmp_path) -> None:
    path = tmp_path / "net.py"
    path.write_text("def make(): ...")
    with pytest.raises(ConfigError, match=r"net\.py is Python code; name what gives the model"):
        alp.load(path)

"""Any classifier trained in one call, saved, and found again; heads for other classes."""

from __future__ import annotations

import sys
from copy import deepcopy
from types import ModuleType

import pytest
import torch
from torch import nn

import alp
from alp.config import EngineConfig, OptimConfig, RateConfig
from alp.data import Augment
from alp.defences import Defended, ResNetLite
from alp.defences.identity import weights_digest
from alp.defences.referenced import Referenced
from alp.defences.trainable import replace_head
from alp.errors import ConfigError
from alp.training import ClassifierStage, PurifierStage
from alp.training.adapting import adapted
from alp.training.tasks import PurifierTask

ENGINE = EngineConfig(accelerator="cpu", precision="32-true", threads=1)
SHORT = {"epochs": 0.02, "batch_size": 16, "engine": ENGINE}


class Net(nn.Module):
    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.norm(self.stem(x))).mean((2, 3)))


@pytest.fixture(scope="module")
def images():
    return alp.load_data("shapes", "train").take(320)


@pytest.fixture
def net(images, monkeypatch) -> nn.Module:
    module = ModuleType("users_nets")
    module.Net = Net
    monkeypatch.setitem(sys.modules, "users_nets", module)
    torch.manual_seed(0)
    return Net(len(images.classes)).eval()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["standard", "adversarial", "certified"])
def test_any_module_is_trained_and_stays_as_it_was(net, images, method) -> None:
    before = weights_digest(net)
    trained = alp.fit(net, images, method, **SHORT)
    assert weights_digest(net) == before
    assert isinstance(trained, Referenced)
    assert not any(each.training for each in trained.modules())
    assert weights_digest(trained.module) != before
    assert trained.classes == images.classes
    assert trained(images.batch(torch.arange(2))[0]).shape == (2, len(images.classes))


@pytest.mark.slow
def test_behind_a_purifier(net, images, new_purifier) -> None:
    trained = alp.fit(net, images, "purified", purifier=new_purifier(), **SHORT)
    assert isinstance(trained, Defended)
    assert isinstance(trained.classifier, Referenced)


@pytest.mark.slow
def test_it_is_saved_and_goes_on(net, images, tmp_path) -> None:
    first = alp.fit(net, images, folder=tmp_path, **SHORT)
    again = alp.fit(net, images, folder=tmp_path, **SHORT)
    assert weights_digest(first) == weights_digest(again)
    place = tmp_path / "weights.safetensors"
    with pytest.raises(alp.AlpError, match="which is code"):
        alp.load(place)
    code = tmp_path / "nets.py"
    code.write_text("from users_nets import Net\ndef make():\n    return Net(4)\n")
    classes = len(images.classes)
    code.write_text(code.read_text().replace("4", str(classes)))
    loaded = alp.load(f"{place},classifier={code}:make")
    x, _ = images.batch(torch.arange(3))
    assert torch.allclose(loaded(x), first(x), atol=1e-6)
    assert loaded.classes == images.classes


@pytest.mark.slow
def test_a_new_head_for_other_classes(images, net, tmp_path) -> None:
    other = Net(7).eval()
    with pytest.raises(ConfigError, match=r"--new_head, or new_head=True"):
        alp.fit(other, images, **SHORT)
    trained = alp.fit(other, images, new_head=True, folder=tmp_path, **SHORT)
    x, _ = images.batch(torch.arange(3))
    assert trained(x).shape == (3, len(images.classes))
    code = tmp_path / "nets.py"
    code.write_text("from users_nets import Net\ndef make():\n    return Net(7)\n")
    loaded = alp.load(f"{tmp_path / 'weights.safetensors'},classifier={code}:make")
    assert torch.allclose(loaded(x), trained(x), atol=1e-6)


@pytest.mark.slow
def test_a_new_head_of_ours(images, new_classifier) -> None:
    trained = alp.fit(new_classifier(classes=3), images, new_head=True, **SHORT)
    assert isinstance(trained, ResNetLite)
    assert trained.config.classes == len(images.classes)


def test_the_last_layer_is_the_one_that_is_replaced() -> None:
    net = Net(7)
    body = deepcopy(net.stem.weight)
    replace_head(net, 3)
    assert net.head.out_features == 3
    assert torch.equal(net.stem.weight, body)
    with pytest.raises(ConfigError, match="has no last linear layer"):
        replace_head(nn.Sequential(nn.Flatten()), 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "magic"}, "unknown method 'magic'"),
        ({"method": "standard", "eps": 0.1}, "the method 'standard' has no eps"),
        ({"sigma": 0.1}, "the method 'adversarial' has no sigma"),
        ({"purifier": "cifar10-lite/purifier"}, "has no purifier"),
        ({"eps": -1.0}, "eps is -1.0"),
        ({"epochs": -1.0}, "epochs is -1.0"),
        (
            {"method": "purified", "purifier": 3},
            "the purifier holds a int, which has no purifier",
        ),
        ({"method": "purified", "purifier": nn.Flatten()}, "the purifier holds a Flatten"),
        ({"folder": 3}, "the folder is 3; give a path"),
        ({"new_head": "yes"}, "new_head is 'yes'; give True or False"),
        ({"engine": {"threads": 1}}, r"the engine is .*give an alp.config.EngineConfig"),
        ({"report": 3}, "report is 3; give a function"),
        ({"seed": "x"}, "seed is 'x'; give a whole number"),
        ({"batch_size": 10**6}, "is above the .* training images; give fewer"),
    ],
)
def test_settings_that_cannot_be_used(net, images, settings, message) -> None:
    with pytest.raises(ConfigError, match=message):
        alp.fit(net, images, **settings)


def test_a_defence_is_not_a_classifier(net, images, new_purifier) -> None:
    with pytest.raises(ConfigError, match=r"defended\.classifier"):
        alp.fit(alp.defend(net, new_purifier()), images)


def test_recipes_take_as_many_steps_on_fewer_pictures() -> None:
    stage = ClassifierStage(optim=OptimConfig(epochs=2, batch_size=128), augment=Augment())
    assert adapted(stage, 45_000, (32, 32)) == stage
    few = adapted(stage, 360, (64, 64))
    assert few.optim.steps(360) == stage.optim.steps(45_000) == 702
    assert few.augment == Augment(shift=8, cutout=16)
    tiny = adapted(stage, 10, (32, 32))
    assert tiny.optim.batch_size == 4
    assert tiny.optim.steps(10) == 702


def test_a_purifier_that_falls_short_is_doubted(new_purifier) -> None:
    task = PurifierTask(PurifierStage(), new_purifier())
    assert not task.doubts({"mse": [0.01] * 50 + [0.0025] * 50})
    (doubt,) = task.doubts({"mse": [0.0126] * 100})
    assert "reaches 19.0 dB, and 26.2 dB were asked for" in doubt
    free = PurifierTask(PurifierStage(rate=RateConfig("elbo")), new_purifier())
    assert not free.doubts({"mse": [0.0126] * 100})


class WithoutGradient(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x):
        with torch.no_grad():
            return self.net(x)


@pytest.mark.parametrize("kind", ["no_grad", "frozen", "number"])
def test_what_cannot_learn_is_refused(net, images, kind) -> None:
    frozen = deepcopy(net).requires_grad_(False)
    made = {"no_grad": WithoutGradient(net), "frozen": frozen, "number": 3}[kind]
    said = (
        "answers without a gradient by its weights" if kind != "number" else "classifier is a int"
    )
    with pytest.raises(ConfigError, match=said):
        alp.fit(made, images, "standard", **SHORT)

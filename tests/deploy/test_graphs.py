"""The graphs that backends compile: the same function, with less to compute."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from alp.defences import Defended
from alp.defences.purified import Latent
from alp.deploy.graphs import build_graphs, folded
from alp.errors import ConfigError
from alp.seeding import generator, initialising, uniform


def norms(module: nn.Module) -> int:
    return sum(isinstance(each, nn.BatchNorm2d) for each in module.modules())


class Stack(nn.Module):
    """Convolution, normalisation and SiLU, as other people's classifiers have them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.shared = nn.Conv2d(6, 6, 1)
        self.after = nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        h = nn.functional.silu(self.norm(self.conv(x)))
        h = self.after(self.shared(h)) + self.shared(h)
        return self.head(h.mean((2, 3)))


class Branching(Stack):
    """Its path depends on the values, so that it cannot be traced."""

    def forward(self, x):
        return super().forward(-x if x.sum() < 0 else x)


@pytest.fixture
def x():
    return uniform((2, 3, 12, 12), generator(0, "images"))


def stirred(kind: type[Stack]) -> Stack:
    with initialising(0, "stack"):
        model = kind()
        for norm in (model.norm, model.after):
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 2)
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    return model.eval()


@pytest.mark.parametrize("size", ["tiny", "lite", "base"])
def test_what_follows_a_convolution_is_folded(new_classifier, x, size: str) -> None:
    model = new_classifier(size)
    before = norms(model)
    faster = folded(model, x)
    assert norms(faster) == before - len(model.blocks)
    assert norms(model) == before
    with torch.no_grad():
        assert torch.allclose(faster(x), model(x), atol=1e-5)


def test_any_module_is_folded_where_nobody_else_needs_the_convolution(x) -> None:
    model = stirred(Stack)
    faster = folded(model, x)
    assert norms(faster) == 1
    assert torch.allclose(faster(x), model(x), atol=1e-5)


def test_what_cannot_be_traced_stays(x) -> None:
    model = stirred(Branching)
    assert folded(model, x) is model


def test_the_graphs_are_the_defended_model(defended, images) -> None:
    graphs = build_graphs(defended, (10, 14))
    x, source = torch.from_numpy(images), generator(0, "noise")
    with torch.no_grad():
        mu = graphs.encode(x)
        assert torch.allclose(mu, defended.encode(x).mu, atol=1e-6)
        noise = torch.stack([torch.randn(mu.shape, generator=source) for _ in range(3)])
        expected = defended.sample(Latent(mu, (10, 14)), generator(0, "noise"), 3)
        assert torch.allclose(graphs.draw(mu, noise), expected, atol=1e-4)
        purified = defended.purifier.draw(mu, generator(0, "noise"), (10, 14), draws=3)
        assert torch.allclose(graphs.decode(mu, noise).flatten(0, 1), purified, atol=1e-5)
        many = torch.stack([graphs.whole(x) for _ in range(50)])
    assert graphs.shapes.latent == tuple(mu.shape[1:])
    assert many.std(0).min() > 0
    with torch.no_grad():
        mean = defended(x, generator(1, "n"), draws=300)
    assert ((many.mean(0) - mean).abs() < 6 * many.std(0) / 50**0.5 * (1 + 50 / 50) ** 0.5).all()


def test_the_model_is_left_as_it_was(defended) -> None:
    training = Defended(defended.classifier, defended.purifier, 2).train()
    build_graphs(training, (8, 8))
    assert training.training
    assert all(parameter.requires_grad for parameter in training.classifier.parameters())
    training.eval()


@pytest.mark.parametrize("size", [(0, 8), (8,), (8.0, 8)])
def test_sizes_that_are_none(defended, size) -> None:
    with pytest.raises(ConfigError, match="height and a width"):
        build_graphs(defended, size)


def test_a_classifier_of_another_size_is_named(defended) -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
    model = Defended(flat, defended.purifier, 2).eval()
    assert build_graphs(model, (8, 8)).shapes.classes == 2
    with pytest.raises(ConfigError, match="trained on"):
        build_graphs(model, (12, 12))

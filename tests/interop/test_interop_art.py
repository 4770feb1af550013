"""A defended model inside PyTorchClassifier of the Adversarial Robustness Toolbox."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch

from alp.defences.adapters import as_defence
from alp.errors import ConfigError
from alp.seeding import generator, initialising

pytest.importorskip("art")
EPS = 0.1


@pytest.fixture
def wrapped(defended):
    from art.estimators.classification import PyTorchClassifier

    loss = torch.nn.CrossEntropyLoss()
    size = {"input_shape": (3, 12, 12), "nb_classes": 4}
    return PyTorchClassifier(defended, loss, clip_values=(0, 1), device_type="cpu", **size)


@pytest.mark.parametrize("name", ["pgd", "fgsm"])
def test_its_attacks_attack_the_model(wrapped, batch, check, name) -> None:
    from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescentPyTorch

    attack = {
        "pgd": lambda: ProjectedGradientDescentPyTorch(
            wrapped, eps=EPS, eps_step=EPS / 4, max_iter=10, num_random_init=1, verbose=False
        ),
        "fgsm": lambda: FastGradientMethod(wrapped, eps=EPS),
    }[name]()
    x, y = (each.numpy() for each in batch)
    with initialising(0, "art"):
        x_adv = attack.generate(x, y)
    check(torch.from_numpy(x_adv), EPS)


def test_it_predicts_as_the_model_does(defended, wrapped, batch) -> None:
    x, y = batch
    logits = wrapped.predict(x.numpy(), batch_size=7)
    assert logits.shape == (len(x), 4)
    assert np.mean(logits.argmax(1) == y.numpy()) > 0.9
    # Only its prediction leaves the mode as the library wants it: the model is back in eval mode.
    assert not defended.training


def test_it_copies_the_model(wrapped, batch) -> None:
    """Its trainers and ensembles clone what they are given."""
    clone = deepcopy(wrapped)
    first, second = (each.predict(batch[0].numpy()).argmax(1) for each in (wrapped, clone))
    assert np.mean(first == second) > 0.9
    assert clone.model is not wrapped.model


def test_the_model_inside_can_be_evaluated(defended, wrapped) -> None:
    """The wrapper itself is no callable: what it holds is the model it was given."""
    assert not callable(wrapped)
    assert wrapped.model is defended
    assert as_defence(wrapped.model).stochastic


def test_a_purifier_stands_before_its_classifiers(defended, batch) -> None:
    """Its gradient is the purifier's own, a stop-gradient or none."""
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    from alp.interop.art import ArtPurifier

    x, y = (each.numpy() for each in batch)
    purifier = ArtPurifier(defended.purifier, source=generator(0, "art"))
    wrapped = PyTorchClassifier(
        defended.classifier, torch.nn.CrossEntropyLoss(), input_shape=(3, 12, 12), nb_classes=4,
        clip_values=(0, 1), device_type="cpu", preprocessing_defences=[purifier],
    )  # fmt: skip
    assert np.mean(wrapped.predict(x).argmax(1) == y) > 0.9
    attack = ProjectedGradientDescentPyTorch(
        wrapped, eps=EPS, eps_step=EPS / 4, max_iter=10, verbose=False
    )
    with initialising(0, "art"):
        x_adv = attack.generate(x, y)
    assert np.mean(wrapped.predict(x_adv).argmax(1) == y) < 0.6
    point = batch[0].clone().requires_grad_()
    purifier.forward(point)[0].sum().backward()
    assert point.grad is not None
    assert bool((point.grad != 0).any())


def test_what_purifies_nothing_is_refused(defended) -> None:
    from alp.interop.art import ArtPurifier

    for other in (defended, defended.classifier):
        with pytest.raises(ConfigError, match="purifier"):
            ArtPurifier(other)

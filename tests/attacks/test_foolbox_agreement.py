"""The same budget in an independent library gives the same accuracy.

Foolbox draws its random starts from torch's global generator, so it runs with that one lent to it.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from alp.attacks import BIM, FGSM, L2, PGD, Attack, Linf, Threat
from alp.seeding import generator, initialising, normal, uniform

foolbox = pytest.importorskip("foolbox")

CLASSES = 6
TOLERANCE = 0.02
"""Two attacks of one model on the same 500 images: their accuracies differ by the few images
that one random start breaks and another does not; 0.02 is 10 images."""


def images(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """A faint pattern a class in noise."""
    patterns = uniform((CLASSES, 3, 8, 8), generator(0, "patterns"))
    y = torch.arange(count) % CLASSES
    noise = 0.25 * normal((count, 3, 8, 8), generator(seed, "noise"))
    return (0.5 + 0.35 * (patterns[y] - 0.5) + noise).clamp(0, 1), y


@pytest.fixture(scope="module")
def model() -> nn.Module:
    with initialising(0, "model"):
        layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(1024, CLASSES)
        )
    optimiser = torch.optim.Adam(layers.parameters(), lr=3e-3)
    for step in range(60):
        x, y = images(120, step + 1)
        optimiser.zero_grad()
        nn.functional.cross_entropy(layers(x), y).backward()
        optimiser.step()
    return layers.eval()


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()


def by_foolbox(model: nn.Module, attack, x: Tensor, y: Tensor, eps: float) -> Tensor:  # type: ignore[no-untyped-def]
    with initialising(1, "foolbox"):
        wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
        clipped: Tensor = attack(wrapped, x, y, epsilons=eps)[1]
    return clipped


@pytest.mark.parametrize("eps", [0.02, 0.05])
def test_fgsm_gives_the_same_points(model: nn.Module, eps: float) -> None:
    x, y = images(500, 1000)
    theirs = by_foolbox(model, foolbox.attacks.FGSM(), x, y, eps)
    ours = FGSM()(model, x, y, Linf(eps), generator(0, "attack"))
    # A gradient of about zero may take either sign.
    assert ((ours - theirs).abs() < 1e-6).float().mean() > 0.999


FB = foolbox.attacks
PAIRS = [
    (PGD(10, 0.02), FB.LinfPGD(abs_stepsize=0.02, steps=10), Linf(0.07)),
    (PGD(10, 0.015), FB.LinfPGD(abs_stepsize=0.015, steps=10), Linf(0.05)),
    (PGD(10, 0.15), FB.L2PGD(abs_stepsize=0.15, steps=10), L2(0.4)),
    (PGD(10, 0.25), FB.L2PGD(abs_stepsize=0.25, steps=10), L2(0.7)),
    (BIM(10, 0.01), FB.LinfBasicIterativeAttack(abs_stepsize=0.01, steps=10), Linf(0.06)),
    (BIM(10, 0.15), FB.L2BasicIterativeAttack(abs_stepsize=0.15, steps=10), L2(0.4)),
    (FGSM(), FB.L2FastGradientAttack(), L2(0.5)),
]


@pytest.mark.parametrize(("attack", "peer", "threat"), PAIRS, ids=lambda value: str(value)[:40])
def test_robust_accuracy_agrees(model: nn.Module, attack: Attack, peer, threat: Threat) -> None:  # type: ignore[no-untyped-def]
    x, y = images(500, 1000)
    assert accuracy(model, x, y) > 0.95
    theirs = accuracy(model, by_foolbox(model, peer, x, y, threat.eps), y)
    ours = accuracy(model, attack(model, x, y, threat, generator(2, "attack")), y)
    assert 0.1 < theirs < 0.9  # else any attack would agree
    assert abs(ours - theirs) <= TOLERANCE

"""On a linear model the smallest change is known; elsewhere two implementations agree."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from alp.attacks import L2, PGD, Linf, Threat
from alp.attacks.library import (
    FAB,
    FMN,
    AutoAttackStandard,
    CarliniWagner,
    DeepFool,
    HopSkipJump,
    LibraryAttack,
    SquareReference,
    TargetedAPGD,
)
from alp.attacks.library.base import Craft
from alp.seeding import for_data, generator, initialising, normal, uniform

pytest.importorskip("foolbox")
pytest.importorskip("pyautoattack")

pytestmark = pytest.mark.slow

CLASSES, SIZE = 6, 192
WEIGHT = normal((CLASSES, SIZE), for_data(0, "weight"))
DUAL = {Linf: 1, L2: 2}


def linear(x: Tensor) -> Tensor:
    return x.flatten(1) @ WEIGHT.T


@pytest.fixture(scope="module")
def x() -> Tensor:
    """Images near grey, so that no smallest change meets a face of the box, and not too near a
    boundary for what the attacks add to a step."""
    near = 0.5 + 0.05 * normal((24, 3, 8, 8), generator(1, "grey")).clamp(-2, 2)
    return near[smallest(near, L2).argsort()[-12:]]


def smallest(x: Tensor, kind: type[Linf] | type[L2]) -> Tensor:
    """min over j of (z_y - z_j) / ||w_y - w_j||_dual, (B,), with y the model's own class."""
    logits = linear(x)
    own = logits.argmax(1, keepdim=True)
    slopes = torch.cdist(WEIGHT, WEIGHT, p=DUAL[kind])[own.squeeze(1)]
    distances = (logits.gather(1, own) - logits) / slopes
    return distances.scatter(1, own, torch.inf).amin(1)


NEAREST = [
    (FMN(steps=60), Linf, 1.04),
    (FMN(steps=60), L2, 1.04),
    (DeepFool(), Linf, 1.08),
    (DeepFool(), L2, 1.04),
    (CarliniWagner(steps=100, searches=7, step_size=0.003), L2, 1.05),
    (HopSkipJump(steps=12, evaluations=100), L2, 1.6),
]
"""Attack, norm and how many times the smallest change its largest may be: an attack may end at the
second nearest class, 3 % further for one image, and DeepFool oversteps by 2 % and 1e-4."""


@pytest.mark.parametrize(("attack", "kind", "factor"), NEAREST, ids=str)
def test_the_smallest_change_is_found(
    attack: LibraryAttack, kind: type[Linf] | type[L2], factor: float, x: Tensor
) -> None:
    y, best = linear(x).argmax(1), smallest(x, kind)
    wide = kind(1.0) if kind is Linf else kind(9.0)
    x_adv = attack(linear, x, y, wide, generator(0, "attack"))
    ratio = wide.distance(x_adv, x) / best
    assert (linear(x_adv).argmax(1) != y).all()
    assert ratio.min() > 0.999
    assert ratio.max() < factor
    if isinstance(attack, HopSkipJump):
        return
    for eps, broken in ((factor * best.max().item(), True), (0.95 * best.min().item(), False)):
        point = attack(linear, x, y, kind(eps), generator(0, "attack"))
        assert ((linear(point).argmax(1) != y) == broken).all()


@pytest.mark.parametrize("kind", [Linf, L2])
@pytest.mark.parametrize(
    "attack", [TargetedAPGD(steps=20, targets=5), FAB(steps=20, targets=5)], ids=str
)
def test_a_ball_around_the_boundary_is_broken_and_a_smaller_one_is_not(
    attack: LibraryAttack, kind: type[Linf] | type[L2], x: Tensor
) -> None:
    y, best = linear(x).argmax(1), smallest(x, kind)
    middle = best.median().item()
    x_adv = attack(linear, x, y, kind(middle), generator(1, "attack"))
    wrong = linear(x_adv).argmax(1) != y
    assert wrong[best < 0.93 * middle].all()
    assert not wrong[best > middle].any()
    assert 3 <= wrong.sum() <= 9


def test_square_needs_no_gradient(x: Tensor) -> None:
    y, best = linear(x).argmax(1), smallest(x, Linf)
    threat = Linf(4 * best.max().item())
    x_adv = SquareReference(queries=200)(
        lambda z: linear(z.detach()), x, y, threat, generator(2, "attack")
    )
    assert (linear(x_adv).argmax(1) != y).all()


def test_the_ensemble_goes_through_all_four_parts(x: Tensor) -> None:
    """On a smooth model APGD leaves nothing to the others; here one image holds out to the end."""
    x, y = x[:3], linear(x[:3]).argmax(1)
    eps = smallest(x, Linf).sort().values[1].item() * 1.01
    grads = others = 0

    def counted(images: Tensor) -> Tensor:
        nonlocal grads, others
        grads, others = grads + images.requires_grad, others + (not images.requires_grad)
        return linear(images)

    x_adv = AutoAttackStandard()(counted, x, y, Linf(eps), generator(3, "attack"))
    assert (linear(x_adv).argmax(1) != y).sum() == 2
    targets = CLASSES - 1
    assert grads == 101 + targets * 101 + targets * 100
    assert others > 5000


class APGD(LibraryAttack):
    """The ensemble's first part alone."""

    calls = (101, 4)

    def stages(self, threat: Threat, classes: int, seed: int) -> Sequence[Craft]:
        return AutoAttackStandard().stages(threat, classes, seed)[:1]


@pytest.mark.parametrize("threat", [Linf(0.08), L2(0.9)], ids=str)
def test_apgd_agrees_with_our_pgd(threat: Threat) -> None:
    patterns = uniform((CLASSES, 3, 8, 8), generator(0, "patterns"))

    def images(count: int, seed: int) -> tuple[Tensor, Tensor]:
        y = torch.arange(count) % CLASSES
        noise = 0.25 * normal((count, 3, 8, 8), generator(seed, "noise"))
        return (0.5 + 0.35 * (patterns[y] - 0.5) + noise).clamp(0, 1), y

    with initialising(0, "mlp"):
        model = nn.Sequential(nn.Flatten(), nn.Linear(SIZE, 32), nn.ReLU(), nn.Linear(32, CLASSES))
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(80):
        x, y = images(120, step + 1)
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    x, y = images(300, 1000)
    theirs, ours = (
        (model(attack(model, x, y, threat, generator(4, "attack"))).argmax(1) == y).float().mean()
        for attack in (APGD(), PGD(steps=50))
    )
    assert 0.1 < theirs < 0.9  # else any attack would agree
    assert abs(theirs - ours) <= 0.02  # six images

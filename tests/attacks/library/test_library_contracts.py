"""What holds for every attack from a library."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from alp.attacks import L2, Linf
from alp.attacks.library import (
    FAB,
    FMN,
    LIBRARY_ATTACKS,
    AutoAttackStandard,
    Boundary,
    CarliniWagner,
    DeepFool,
    HopSkipJump,
    LibraryAttack,
    SquareReference,
    TargetedAPGD,
)
from alp.seeding import generator, uniform

pytest.importorskip("foolbox")
pytest.importorskip("pyautoattack")

pytestmark = pytest.mark.slow

SMALL: dict[str, LibraryAttack] = {
    "apgd-t": TargetedAPGD(steps=5, targets=9),
    "fab-t": FAB(steps=5, targets=2, restarts=2),
    "square-reference": SquareReference(queries=20),
    "autoattack": AutoAttackStandard(),
    "boundary": Boundary(steps=20),
    "hopskipjump": HopSkipJump(steps=2, evaluations=10),
    "cw": CarliniWagner(steps=15, searches=5, step_size=0.05),
    "deepfool": DeepFool(steps=5),
    "fmn": FMN(steps=30),
}
DRAWS = ["apgd-t", "square-reference", "autoattack", "boundary", "hopskipjump"]
AT_LEAST = {"square-reference": 2, "boundary": 2, "hopskipjump": 2, "fmn": 7}
"""Images of the eight that are wrong in the end, where it is not all of them."""
THREATS = {"Linf": Linf(0.12), "L2": L2(1.2)}
"""So large that APGD breaks every image: the ensemble's later stages take seconds."""

PAIRS = [(name, norm) for name, attack in SMALL.items() for norm in attack.norms]
every_pair = pytest.mark.parametrize(("name", "norm"), PAIRS)


@pytest.fixture
def x() -> Tensor:
    return (1.2 * uniform((8, 3, 8, 8), generator(0, "images")) - 0.1).clamp(0, 1)


@pytest.fixture
def y(model: nn.Module, x: Tensor) -> Tensor:
    """The model's own classes, but for one image."""
    with torch.no_grad():
        own = model(x).argmax(1)
    own[3] = (own[3] + 1) % 5
    return own


def test_every_attack_is_tried_here() -> None:
    assert SMALL.keys() == LIBRARY_ATTACKS.keys()
    assert all(type(SMALL[name]) is kind for name, kind in LIBRARY_ATTACKS.items())


@every_pair
def test_points_lie_inside_and_break_the_target(
    name: str, norm: str, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    threat, before = THREATS[norm], x.clone()
    x_adv = SMALL[name](model, x, y, threat, generator(1, "attack"))
    assert x_adv.shape == x.shape
    assert x_adv.dtype == x.dtype
    assert not x_adv.requires_grad
    assert not x_adv.is_inference()
    assert x_adv.min() >= 0
    assert x_adv.max() <= 1
    assert threat.distance(x_adv, x).max() <= threat.eps + 1e-6
    assert torch.equal(x, before)
    assert torch.equal(x_adv[3], x[3])  # wrong already
    wrong = int((model(x_adv).argmax(1) != y).sum())
    assert wrong >= AT_LEAST.get(name, 8)


@every_pair
def test_the_source_alone_decides(
    name: str, norm: str, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    first, again, other = (
        SMALL[name](model, x, y, THREATS[norm], generator(seed, "attack")) for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (name not in DRAWS)


@every_pair
def test_nothing_outside_changes(
    name: str,
    norm: str,
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def trace(*_: object) -> None:
        return None

    parameters = list(model.parameters())
    parameters[0].requires_grad_(False)
    for parameter in parameters[1:]:
        parameter.grad = torch.full_like(parameter, 3.0)
    model[2].train()
    monkeypatch.setattr(logging.root, "handlers", [])
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    filters, old = warnings.filters[:], (sys.gettrace(), sys.getprofile())
    sys.settrace(trace)
    sys.setprofile(trace)
    try:
        SMALL[name](model, x, y, THREATS[norm], generator(1, "attack"))
        held = sys.gettrace(), sys.getprofile()
    finally:
        sys.settrace(old[0])
        sys.setprofile(old[1])
    assert held == (trace, trace)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002
    assert warnings.filters == filters
    assert logging.root.handlers == []
    assert [each.requires_grad for each in parameters] == [False] + [True] * (len(parameters) - 1)
    assert parameters[0].grad is None
    assert all((each.grad == 3.0).all() for each in parameters[1:])
    assert [each.training for each in model.modules()] == [False, False, False, True, False, False]
    assert capfd.readouterr() == ("", "")


@every_pair
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_callers_mode_changes_nothing(
    name: str,
    norm: str,
    mode: Callable[[], torch.no_grad],
    model: nn.Module,
    x: Tensor,
    y: Tensor,
) -> None:
    plain = SMALL[name](model, x, y, THREATS[norm], generator(7, "attack"))
    with mode():
        inside = SMALL[name](model, x.clone(), y.clone(), THREATS[norm], generator(7, "attack"))
    assert torch.equal(plain, inside)


@every_pair
def test_float64_and_memory_layout_are_kept(
    name: str, norm: str, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    attack, threat = SMALL[name], THREATS[norm]
    plain = attack(model, x, y, threat, generator(9, "attack"))
    last = x.contiguous(memory_format=torch.channels_last)
    laid_out = attack(
        model.to(memory_format=torch.channels_last), last, y, threat, generator(9, "attack")
    )
    assert laid_out.is_contiguous(memory_format=torch.channels_last)
    assert threat.distance(laid_out, plain).max() < 0.1 * threat.eps
    double = attack(model.double(), x.double(), y, threat, generator(9, "attack"))
    assert double.dtype == torch.float64
    assert torch.equal(double[3], x[3].double())


@every_pair
def test_of_several_draws_the_mean_logits_count(
    name: str, norm: str, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    def bank(images: Tensor) -> Tensor:
        logits = model(images)
        return torch.stack([logits - 1, logits + 1, logits])

    plain, banked = (
        SMALL[name](target, x, y, THREATS[norm], generator(11, "attack"))
        for target in (model, bank)
    )
    assert THREATS[norm].distance(plain, banked).max() < 0.1 * THREATS[norm].eps


@pytest.mark.parametrize("norm", THREATS)
@pytest.mark.parametrize("name", ["apgd-t", "fab-t", "cw", "deepfool", "fmn"])
def test_a_cut_gradient_leads_nowhere(
    name: str, norm: str, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    if norm not in SMALL[name].norms:
        return
    threat = type(THREATS[norm])(0.01)
    x_adv = SMALL[name](lambda z: model(z.detach()), x, y, threat, generator(12, "attack"))
    assert threat.distance(x_adv, x).max() <= threat.eps + 1e-6
    assert (model(x_adv).argmax(1) == y).sum() >= 6


@every_pair
def test_no_radius_no_change(name: str, norm: str, model: nn.Module, x: Tensor, y: Tensor) -> None:
    if name == "autoattack":  # its four parts are tried, and together they take seconds
        return
    threat = type(THREATS[norm])(0.0)
    assert torch.equal(SMALL[name](model, x, y, threat, generator(4, "attack")), x)


@every_pair
def test_calls_are_estimated_from_above(
    name: str, norm: str, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    made = [0, 0]

    def counted(images: Tensor) -> Tensor:
        made[not images.requires_grad] += 1
        return model(images)

    SMALL[name](counted, x, y, THREATS[norm], generator(12, "attack"))
    grads, others = SMALL[name].calls
    assert made[0] <= grads
    assert made[1] <= others
    assert sum(made) > 4
    if name in ("square-reference", "hopskipjump"):  # nothing stops these early
        assert made[1] > 0.1 * others


def test_settings_are_torch_free() -> None:
    code = (
        "import sys; from alp.attacks.library import LIBRARY_ATTACKS as a;"
        "[kind().calls for kind in a.values()];"
        "sys.exit(any(each in sys.modules for each in ('torch', 'foolbox', 'pyautoattack')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

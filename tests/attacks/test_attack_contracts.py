"""What holds for every registered attack under every registered threat."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from alp.attacks import ATTACKS, LOSSES, NFGSM, PGD, THREATS, Attack, Threat
from alp.seeding import generator, normal, uniform

pytestmark = pytest.mark.slow

INSIDE = [name for name, kind in ATTACKS.items() if not getattr(kind, "training", False)]
DRAWLESS = ["fgsm", "bim", "lbfgs", "rays"]
NEAREST = ["lbfgs"]  # looks for the smallest change, by a loss of its own
QUICK = {
    "square": ATTACKS["square"](queries=60),
    "apgd": ATTACKS["apgd"](steps=20),
    "nes": ATTACKS["nes"](queries=120),
    "spsa": ATTACKS["spsa"](queries=120),
    "rays": ATTACKS["rays"](queries=150),
}
SET = {name: QUICK.get(name, kind()) for name, kind in ATTACKS.items()}
every_attack = pytest.mark.parametrize("attack", SET.values(), ids=SET)
every_threat = pytest.mark.parametrize("threat", [kind(0.1) for kind in THREATS.values()], ids=str)


@pytest.fixture
def x() -> Tensor:
    return (1.4 * uniform((10, 3, 8, 8), generator(0, "images")) - 0.2).clamp(0, 1)


@pytest.fixture
def y() -> Tensor:
    return torch.arange(10) % 5


@every_attack
@every_threat
@pytest.mark.parametrize("loss", LOSSES)
def test_images_come_back_as_images(
    attack: Attack, threat: Threat, loss: str, model: nn.Module, x: Tensor
) -> None:
    if hasattr(attack, "loss"):
        attack = replace(attack, loss=loss)  # type: ignore[type-var]
    y = model(x).argmax(1)
    before = x.clone()
    x_adv = attack(model, x, y, threat, generator(1, "attack"))
    assert x_adv.shape == x.shape
    assert x_adv.dtype == x.dtype
    assert not x_adv.requires_grad
    assert x_adv.min() >= 0
    assert x_adv.max() <= 1
    assert torch.equal(x, before)
    value = LOSSES[loss]
    assert (value(model(x_adv), y) > value(model(x), y)).all()


@pytest.mark.parametrize("name", INSIDE)
@pytest.mark.parametrize("eps", [0.0, 1e-4, 0.03, 0.7])
@pytest.mark.parametrize("kind", THREATS)
def test_results_stay_inside_the_threat(
    name: str, eps: float, kind: str, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    threat = THREATS[kind](eps)
    x_adv = SET[name](model, x, y, threat, generator(2, "attack"))
    distance = threat.distance(x_adv, x)
    assert distance.max() <= eps + 1e-6
    assert distance.max() >= 0.9 * eps or name in NEAREST


@every_threat
def test_nfgsm_leaves_the_ball_as_it_is_meant_to(
    threat: Threat, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    distance = threat.distance(NFGSM()(model, x, y, threat, generator(3, "attack")), x)
    assert distance.max() <= 3 * threat.eps + 1e-6
    assert distance.max() > 1.2 * threat.eps


@every_attack
@pytest.mark.parametrize("kind", THREATS)
def test_no_radius_no_change(
    attack: Attack, kind: str, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    assert torch.equal(attack(model, x, y, THREATS[kind](0.0), generator(4, "attack")), x)


@every_attack
@every_threat
def test_the_generator_alone_decides(
    attack: Attack, threat: Threat, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    state = torch.get_rng_state()
    first, again, other = (
        attack(model, x, y, threat, generator(seed, "attack")) for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    drawless = attack in [SET[name] for name in DRAWLESS]
    assert torch.equal(first, other) == drawless
    assert torch.equal(torch.get_rng_state(), state)


@every_attack
@every_threat
@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_callers_mode_changes_nothing(
    attack: Attack,
    threat: Threat,
    train: bool,
    mode: Callable[[], AbstractContextManager[None]],
    model: nn.Module,
    x: Tensor,
    y: Tensor,
) -> None:
    model.train(train)
    plain = attack(model, x, y, threat, generator(7, "attack"))
    with mode():
        inside = attack(model, x.clone(), y.clone(), threat, generator(7, "attack"))
    assert torch.equal(plain, inside)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training == train


@every_attack
@every_threat
def test_parameter_gradients_under_way_are_kept(
    attack: Attack, threat: Threat, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 3.0)
    x_adv = attack(model, x.clone().requires_grad_(), y, threat, generator(8, "attack"))
    assert not x_adv.requires_grad
    assert all((parameter.grad == 3.0).all() for parameter in model.parameters())


@every_attack
@every_threat
def test_float64_and_memory_layout_are_kept(
    attack: Attack, threat: Threat, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    plain = attack(model, x, y, threat, generator(9, "attack"))
    last = x.contiguous(memory_format=torch.channels_last)
    laid_out = attack(model, last, y, threat, generator(9, "attack"))
    assert laid_out.is_contiguous(memory_format=torch.channels_last)
    assert threat.distance(laid_out, plain).max() < 0.1 * threat.eps
    double = attack(model.double(), x.double(), y, threat, generator(9, "attack"))
    assert double.dtype == torch.float64
    assert threat.distance(double, plain.double()).max() < 0.1 * threat.eps


@every_attack
@every_threat
def test_one_hot_labels_act_like_indices(
    attack: Attack, threat: Threat, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    soft = nn.functional.one_hot(y, 5).float()
    hard = attack(model, x, y, threat, generator(10, "attack"))
    assert torch.allclose(attack(model, x, soft, threat, generator(10, "attack")), hard, atol=1e-4)


@every_threat
def test_soft_labels_of_the_clean_logits_raise_the_divergence(
    threat: Threat, model: nn.Module, x: Tensor
) -> None:
    """TRADES' inner maximisation: more steps drive the prediction further from the clean one."""
    clean = model(x).detach().softmax(1)

    def divergence(x_adv: Tensor) -> Tensor:
        log = model(x_adv).log_softmax(1)
        return nn.functional.kl_div(log, clean, reduction="none").sum(1)

    start = divergence(threat.random_start(x, generator(11, "attack")))
    end = divergence(PGD()(model, x, clean, threat, generator(11, "attack")))
    assert (end > 2 * start).all()


@every_threat
@pytest.mark.parametrize("name", [name for name in SET if name not in NEAREST])
def test_the_target_is_called_as_often_as_said(
    name: str, threat: Threat, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    seen = {True: 0, False: 0}

    def counted(images: Tensor) -> Tensor:
        seen[images.requires_grad] += 1
        return model(images)

    for attack in (SET[name], PGD(steps=3, restarts=4)):
        seen.update({True: 0, False: 0})
        attack(counted, x, y, threat, generator(12, "attack"))
        assert (seen[True], seen[False]) == attack.calls


@every_threat
def test_restarts_never_lower_the_loss(
    threat: Threat, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    def bumpy(images: Tensor) -> Tensor:
        return model(images) + 2 * (40 * images[:, 0, :1, :5].flatten(1)).sin()

    losses = [
        LOSSES["ce"](
            bumpy(PGD(steps=2, restarts=restarts)(bumpy, x, y, threat, generator(13, "attack"))), y
        )
        for restarts in (1, 2, 6)
    ]
    assert (losses[1] >= losses[0]).all()
    assert (losses[2] >= losses[1]).all()
    assert (losses[2] > losses[0] + 1e-3).sum() >= len(x) // 2


@every_threat
@pytest.mark.parametrize("mode", ["detach", "no_grad", "inference", "constant", "rounded"])
def test_a_masked_target_leaves_only_the_random_start(
    threat: Threat, mode: str, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    def target(images: Tensor) -> Tensor:
        if mode == "no_grad":
            with torch.no_grad():
                return model(images)
        if mode == "inference":
            with torch.inference_mode():
                return model(images)
        if mode == "rounded":
            return model((images * 7).round())
        return model(images.detach() if mode == "detach" else torch.ones_like(images))

    for name in ("fgsm", "bim"):
        assert torch.equal(ATTACKS[name]()(target, x, y, threat, generator(14, "attack")), x)
    start = threat.random_start(x, generator(14, "attack"))
    x_adv = PGD()(target, x, y, threat, generator(14, "attack"))
    assert torch.allclose(x_adv, start, atol=1e-6)


@every_threat
def test_the_targets_own_noise_does_not_move_the_random_start(
    threat: Threat, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    """A random target draws from its own generator: two attacks from one seed share the start."""
    starts = []

    def noisy(seed: int) -> Callable[[Tensor], Tensor]:
        source = generator(seed, "draw")

        def target(images: Tensor) -> Tensor:
            starts.append(images.detach())
            return model(images + 0.1 * normal(images.shape, source))

        return target

    results = [PGD(steps=1)(noisy(s), x, y, threat, generator(15, "attack")) for s in (1, 2)]
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(results[0], results[1])


def test_settings_are_torch_free() -> None:
    code = (
        "import sys, alp.attacks as a; [kind() for kind in (*a.ATTACKS.values(),"
        "*a.THREATS.values())]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

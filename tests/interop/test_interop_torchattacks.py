"""A defended model as torchattacks and RobustBench call one.

torchattacks declares torchvision and an old requests, but imports neither: it runs after ``pip
install --no-deps torchattacks``. Where it is not installed, the loop of its PGD and EOTPGD stands
in. RobustBench is on no index that this project tests with: its clean accuracy stands in, and its
APGD is that of AutoAttack, from which pyautoattack was made.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from alp.seeding import initialising

EPS = 0.1


class StandIn:
    """EOTPGD of torchattacks 3.5.1, with the calls of its base class; one pass a step is PGD."""

    def __init__(self, model: nn.Module, eps: float, alpha: float, steps: int, passes: int) -> None:
        self.model = model
        self.device = next(model.parameters()).device
        self.eps, self.alpha, self.steps, self.passes = eps, alpha, steps, passes

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        given_training = self.model.training
        self.model.eval()
        x_adv = self.forward(images, labels)
        if given_training:
            self.model.train()
        return x_adv

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        images = images.clone().detach().to(self.device)
        labels = labels.clone().detach().to(self.device)
        x_adv = images.clone().detach()
        x_adv = x_adv + torch.empty_like(x_adv).uniform_(-self.eps, self.eps)
        x_adv = torch.clamp(x_adv, min=0, max=1).detach()
        for _ in range(self.steps):
            gradient = torch.zeros_like(x_adv)
            x_adv.requires_grad = True
            for _ in range(self.passes):
                cost = nn.CrossEntropyLoss()(self.model(x_adv), labels)
                gradient += torch.autograd.grad(cost, x_adv)[0]
            x_adv = x_adv.detach() + self.alpha * gradient.sign()
            delta = torch.clamp(x_adv - images, min=-self.eps, max=self.eps)
            x_adv = torch.clamp(images + delta, min=0, max=1).detach()
        return x_adv


def library(model: nn.Module, eps: float, alpha: float, steps: int, passes: int):  # type: ignore[no-untyped-def]
    """PGD or, of several passes, EOTPGD of torchattacks."""
    attacks = pytest.importorskip("torchattacks")
    if passes == 1:
        return attacks.PGD(model, eps=eps, alpha=alpha, steps=steps)
    return attacks.EOTPGD(model, eps=eps, alpha=alpha, steps=steps, eot_iter=passes)


@pytest.mark.parametrize("make", [StandIn, library])
@pytest.mark.parametrize("passes", [1, 3])
def test_its_pgd_attacks_the_model(defended, batch, check, make, passes) -> None:
    with initialising(0, "torchattacks"):
        x_adv = make(defended, EPS, EPS / 4, 8, passes)(*batch)
    check(x_adv, EPS)


def test_a_training_mode_is_given_back(defended, batch) -> None:
    """Switched to eval for the attack, so that no statistics of a batch are learned."""
    weights = {name: tensor.clone() for name, tensor in defended.state_dict().items()}
    with initialising(0, "torchattacks"):
        StandIn(defended.train(), EPS, EPS / 4, 2, 1)(*batch)
    assert all(module.training for module in defended.modules())
    for name, tensor in defended.state_dict().items():
        assert torch.equal(tensor, weights[name]), name


@pytest.mark.parametrize("passes", [1, 3])
def test_the_stand_in_is_the_librarys(new_classifier, batch, passes) -> None:
    found = []
    for make in (StandIn, library):
        with initialising(0, "torchattacks"):
            found.append(make(new_classifier(), EPS, EPS / 4, 4, passes)(*batch))
    assert torch.equal(*found)


def clean_accuracy(
    model: nn.Module, x: Tensor, y: Tensor, batch_size: int = 100, device: str = "cpu"
) -> float:
    """As ``robustbench.utils.clean_accuracy`` counts."""
    right = 0.0
    with torch.no_grad():
        for first in range(0, len(x), batch_size):
            rows = slice(first, first + batch_size)
            output = model(x[rows].to(device))
            right += (output.max(1)[1] == y[rows].to(device)).float().sum().item()
    return right / len(x)


def test_robustbench_calls(defended, batch, check) -> None:
    pgd = pytest.importorskip("pyautoattack.autopgd_base")
    x, y = batch
    model = defended.to("cpu").eval()
    assert clean_accuracy(model, x, y, batch_size=10) > 0.9
    attack = pgd.APGDAttack(model, n_iter=10, eps=EPS, norm="Linf", eot_iter=2, device="cpu")
    with initialising(0, "robustbench"):
        x_adv = attack.perturb(x, y)
    check(x_adv, EPS)
    assert clean_accuracy(model, x_adv, y, batch_size=10) < 0.7

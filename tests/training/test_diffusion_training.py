"""The loss of the diffusion stage against its definition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from alp.config import DiffusionConfig
from alp.defences.diffusion import Diffusion, alpha_bar
from alp.errors import ConfigError
from alp.seeding import generator, initialising
from alp.training import DiffusionStage
from alp.training.diffusion import DiffusionTask
from alp.training.train import train


class Asked(nn.Module):
    """Predicts no noise, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, z: Tensor, times: Tensor) -> Tensor:
        self.seen.append((z, times))
        return torch.zeros_like(z)


@pytest.fixture
def task() -> DiffusionTask:
    model = Diffusion(DiffusionConfig(width=1, horizon=5))
    model.network = Asked()
    return DiffusionTask(model)


def test_times_are_even_from_one_to_the_horizon(task) -> None:
    x = torch.full((20_000, 3, 1, 1), 0.5)
    scalars = task(x, x, torch.zeros(len(x)), generator(0, "draw"))
    ((z, times),) = task.model.network.seen
    assert [int((times == each).sum()) for each in range(1, 6)] == pytest.approx(
        [4000] * 5, rel=0.05
    )
    assert times.aminmax() == (1, 5)
    for each in range(1, 6):  # grey is zero: what is left is noise of this variance
        variance = 1 - float(alpha_bar()[each])
        assert float(z[times == each].square().mean()) == pytest.approx(variance, rel=0.05)
    assert float(scalars["loss"]) == pytest.approx(1, rel=0.02), "the noise's own variance"


def test_it_learns() -> None:
    """The noise on grey images is what they are made of."""
    with initialising(0, "diffusion"):
        task = DiffusionTask(Diffusion(DiffusionConfig(width=4)))
    optimizer = torch.optim.Adam(task.parameters(), 1e-2)
    x = torch.full((16, 3, 8, 8), 0.5)
    for step in range(40):
        loss = task(x, x, torch.zeros(16), generator(0, "draw", step))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.8


def test_it_starts_from_no_weights(toy, parents, tmp_path) -> None:
    with pytest.raises(ConfigError, match="DiffusionStage takes no weights of a classifier"):
        train(DiffusionStage(), tmp_path, toy, classifier=parents["classifier"])

"""The loop: its data order, averages, errors and checkpoints, on tasks made for the purpose."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from alp.config import EngineConfig, OptimConfig
from alp.data import Augment, Images
from alp.errors import CheckpointError, ConfigError, TrainingError
from alp.seeding import normal
from alp.training.engine import build_engine
from alp.training.loop import Run, decay, fit
from alp.training.tasks import Task

PLAIN = Augment(flip=False, shift=0, cutout=0)


class Watching(Task):
    """A task of one weight that notes what it is given; ``slope`` is the loss's derivative."""

    def __init__(self, slope: Callable[[int], float] = lambda step: 1.0) -> None:
        super().__init__()
        self.model = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.model.weight)
        self.slope = slope
        self.seen: list[tuple[Tensor, Tensor, Tensor]] = []
        self.observed: list[dict[str, float]] = []
        self.weights: list[float] = []

    def forward(self, x, attacked, y, source) -> dict[str, Tensor]:
        assert self.training
        self.seen.append((x.clone(), y.clone(), normal((3,), source)))
        self.weights.append(float(self.model.weight.detach()))
        slope = self.slope(len(self.seen) - 1)
        return {"loss": slope * self.model.weight.sum(), "share": y.float().mean()}

    def observe(self, scalars) -> None:
        self.observed.append(dict(scalars))


@pytest.fixture
def run(toy: Images, short, tmp_path: Path) -> Callable[..., Run]:
    def make(*, augment=PLAIN, seed=0, images=toy, key="key", save_every=60.0, **optim) -> Run:
        path = tmp_path / "checkpoint.safetensors"
        return Run(images, short(**optim), augment, seed, path, key, save_every)

    return make


def train(task: Task, run: Run, report=lambda step, steps, scalars: None):
    return fit(task, run, build_engine(EngineConfig("cpu", 1, "32-true", 1)), report)


def test_every_pass_sees_every_image_once_in_another_order(run, toy) -> None:
    task = Watching()
    train(task, run(epochs=3))
    assert len(task.seen) == 12
    labels = [y for _, y, _ in task.seen]
    everything = toy.images.float() / 255
    orders = []
    for epoch in range(3):
        pixels = torch.cat([x for x, _, _ in task.seen[4 * epoch : 4 * epoch + 4]])
        match = (pixels[:, None] == everything[None]).flatten(2).all(2)
        order = match.int().argmax(1)
        assert match.any(1).all()
        assert order.sort().values.tolist() == list(range(64))
        assert torch.equal(torch.cat(labels[4 * epoch : 4 * epoch + 4]), toy.labels[order])
        orders.append(order.tolist())
    assert orders[0] != orders[1] != orders[2]


def test_randomness_is_a_function_of_seed_and_step(run) -> None:
    def seen(seed: int) -> tuple[Tensor, Tensor]:
        task = Watching()
        train(task, run(seed=seed, augment=Augment()))
        torch.rand(1)
        return torch.stack([x for x, _, _ in task.seen]), torch.stack([n for *_, n in task.seen])

    (x, n), again, other = seen(0), seen(0), seen(1)
    assert torch.equal(x, again[0])
    assert torch.equal(n, again[1])
    assert not torch.equal(x, other[0])
    assert len(n.unique()) == n.numel()
    assert not (n[:, :, None] == other[1].flatten()).any()


def test_images_that_fill_no_batch_wait_for_another_pass(run, toy) -> None:
    task = Watching()
    train(task, run(images=toy.subset(torch.arange(50)), epochs=2))
    assert [len(y) for _, y, _ in task.seen] == [16] * 6


@pytest.mark.parametrize(("epochs", "steps"), [(0.5, 2), (1, 4), (2.5, 10), (0.01, 1)])
def test_passes_may_be_fractions(run, epochs: float, steps: int) -> None:
    task = Watching()
    _, progress = train(task, run(epochs=epochs))
    assert progress.step == len(task.seen) == steps


def test_reports_and_history(run) -> None:
    task, reports = Watching(), []
    _, progress = train(task, run(), lambda *report: reports.append(report))
    assert [(step, steps) for step, steps, _ in reports] == [(i, 8) for i in range(1, 9)]
    assert [scalars for *_, scalars in reports] == task.observed
    assert progress.history["share"] == [scalars["share"] for scalars in task.observed]
    assert progress.history["loss"] == task.weights
    assert progress.seconds > 0


def test_the_learning_rate_follows_the_schedule(run) -> None:
    """Plain descent of a slope of one moves by the rate, and Nesterov momentum by its sum."""
    task = Watching()
    train(task, run(lr=0.5, warmup=0.25, weight_decay=0.0, ema=0.0))
    steps, velocity, weight = [], 0.0, 0.0
    for step in range(8):
        rate = (step + 1) / 2 if step < 2 else (1 + math.cos(math.pi * (step - 2) / 6)) / 2
        velocity = 0.9 * velocity + 1
        steps.append(weight)
        weight -= 0.5 * rate * (1 + 0.9 * velocity)
    assert task.weights == pytest.approx(steps, rel=1e-4)


def test_the_gradient_is_clipped(run) -> None:
    task = Watching(slope=lambda step: 1000.0)
    train(task, run(lr=1.0, clip=0.5, optimizer="sgd", weight_decay=0.0, warmup=0.0, epochs=0.25))
    assert float(task.model.weight.detach()) == pytest.approx(-0.5 * 1.9, rel=1e-4)


def test_the_average_is_what_is_returned(run) -> None:
    task = Watching()
    model, _ = train(task, run(ema=0.8))
    average = task.weights[1]  # the average starts at the weights after the first step
    for n, weight in enumerate([*task.weights[2:], float(task.model.weight.detach())], 1):
        average += (1 - decay(0.8, n)) * (weight - average)
    assert float(model.weight.detach()) == pytest.approx(average, rel=1e-5)
    assert float(model.weight.detach()) != pytest.approx(float(task.model.weight.detach()))
    assert not model.training


def test_buffers_are_averaged_too(run) -> None:
    """Batch statistics have to belong to the averaged weights, and not to the last ones."""
    task = Watching()
    task.model.register_buffer("count", torch.zeros(()))
    train_step = task.forward

    def counting(*batch):
        task.model.count += 1
        return train_step(*batch)

    task.forward = counting
    model, _ = train(task, run(ema=0.8))
    average = 1.0
    for count in range(2, 9):
        average += (1 - decay(0.8, count - 1)) * (count - average)
    assert float(model.count) == pytest.approx(average, rel=1e-5)


def test_an_average_leaves_its_start_behind() -> None:
    """Whatever its decay: 700 steps of one of 0.998 alone would keep a quarter of the start."""
    kept = math.prod(decay(0.998, n) for n in range(1, 700))
    assert kept < 1e-9
    assert decay(0.998, 10_000) == 0.998
    assert decay(0.9, 1) == pytest.approx(2 / 11)


def test_without_an_average_the_last_weights_are_returned(run) -> None:
    task = Watching()
    model, _ = train(task, run(ema=0.0))
    assert model is task.model


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_an_error_at_its_step(run, bad: float) -> None:
    task = Watching(slope=lambda step: bad if step == 4 else 1.0)
    with pytest.raises(TrainingError, match=r"step 5 of 8.*lower optim\.lr"):
        train(task, run(save_every=1e-9))
    assert len(task.observed) == 4


def test_a_diverged_step_is_never_saved(run) -> None:
    with pytest.raises(TrainingError):
        train(Watching(lambda step: math.nan if step == 4 else 1.0), run(save_every=1e-9))
    healed = Watching()
    model, progress = train(healed, run())
    assert len(healed.seen) == 4  # steps 5 to 8
    assert progress.step == 8
    assert model.weight.isfinite()


def test_batches_have_to_fit_the_data(run) -> None:
    with pytest.raises(ConfigError, match="batch_size 65 is above the 64 training images"):
        train(Watching(), run(batch_size=65))


@pytest.mark.parametrize("save_every", [1e-9, 1e9])
def test_checkpoints_are_written_as_often_as_asked(run, save_every: float) -> None:
    settings = run(save_every=save_every)
    train(Watching(), settings)
    assert settings.checkpoint.exists() is (save_every < 1)


def test_a_checkpoint_of_other_settings_is_refused(run) -> None:
    train(Watching(), run(save_every=1e-9))
    with pytest.raises(CheckpointError, match="other settings; give another folder"):
        train(Watching(), run(key="another"))


def test_a_checkpoint_of_another_model_is_refused(run) -> None:
    train(Watching(), run(save_every=1e-9))
    other = Watching()
    other.model = nn.Linear(2, 1, bias=False)
    with pytest.raises(CheckpointError, match="delete it"):
        train(other, run())


def test_settings_of_a_run_count_whole_batches(toy) -> None:
    settings = Run(toy, OptimConfig(epochs=3, batch_size=20), PLAIN, 0, Path("x"), "key")
    assert settings.steps == 9

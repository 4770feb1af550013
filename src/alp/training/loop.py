"""The one training loop, for all stages, and its optimiser.

Every step's randomness is a function of (seed, step): data order, augmentation, attacks and noise.
So is the learning rate of the step. A resumed run therefore needs no random state and no scheduler,
and gives bit-identical weights, and several processes draw what one process would (seeding.Shard).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from alp import seeding
from alp.config import OptimConfig
from alp.data import Augment, Images
from alp.defences.base import channels_last
from alp.errors import ConfigError, TrainingError
from alp.training.base import Task
from alp.training.state import Progress, load_state, save_state

SIGMA_LR = 10.0
"""Learning rate of the noise level relative to the weights': one scalar has to travel as far as
its start is from its optimum, so that the end does not depend on the start."""

Tensors = tuple[Tensor, ...] | list[Tensor]

Report = Callable[[int, int, dict[str, float]], object]
"""Called after each step with (finished steps, all steps, scalars of the step)."""


@dataclass(frozen=True)
class Run:
    """What a training is besides its task: data, length, and where it keeps its state."""

    images: Images
    optim: OptimConfig
    augment: Augment
    seed: int
    checkpoint: Path
    """File of the state, deleted by nobody here: the caller drops it once the weights are safe."""
    key: str
    """Identifies the settings; a checkpoint with another key is refused."""
    save_every: float = 60.0
    """Seconds between checkpoints."""

    @property
    def steps(self) -> int:
        """All steps."""
        return self.optim.steps(len(self.images))


def fit(task: Task, run: Run, fabric: Fabric, report: Report) -> tuple[torch.nn.Module, Progress]:
    """Train ``task`` and return the model to save (averaged, if asked for) and the progress.

    Raises:
        ConfigError: the batch is larger than the data, or not divisible among the processes.
        CheckpointError: the checkpoint is damaged or of other settings.
        TrainingError: the loss is no longer finite.
    """
    size, world = run.optim.batch_size, fabric.world_size
    if size > len(run.images):
        raise ConfigError(
            f"batch_size {size} is above the {len(run.images)} training images; give fewer, or "
            "more images"
        )
    if size % world:
        raise ConfigError(f"batch_size {size} cannot be shared out among {world} processes")
    channels_last(task).to(fabric.device)
    optimizer = build_optimizer(task, run.optim)
    average = None
    if run.optim.ema:
        average = AveragedModel(task.model, multi_avg_fn=blend(run.optim.ema), use_buffers=True)
    progress = Progress()
    if run.checkpoint.exists():
        progress = load_state(run.checkpoint, run.key, task, average, optimizer)
    fabric.barrier()
    wrapped, prepared = fabric.setup(task, optimizer)
    batches = _Batches(run, fabric)
    before, start = progress.seconds, time.monotonic()
    saved = start
    task.train()
    for step in range(progress.step, run.steps):
        for group in optimizer.param_groups:
            group["lr"] = group["scale"] * run.optim.lr * factor(step, run.steps, run.optim.warmup)
        x, y, source = batches.at(step)
        with fabric.autocast():
            attacked = task.attack(x, y, source)
        scalars = wrapped(x, attacked, y, source)
        prepared.zero_grad()
        fabric.backward(scalars["loss"])
        if run.optim.clip:
            norm = fabric.clip_gradients(
                wrapped, prepared, max_norm=run.optim.clip, error_if_nonfinite=False
            )
            assert norm is not None  # only strategies that shard the model give none
            _require_finite("the gradient's norm", float(norm), step, run.steps)
        prepared.step()
        if average is not None:
            average.update_parameters(task.model)
        means = _means(scalars, fabric)
        _require_finite("the loss", means["loss"], step, run.steps)
        task.observe(means)
        progress.add(means)
        report(progress.step, run.steps, means)
        fabric.log_dict(means, progress.step)
        now = time.monotonic()
        progress.seconds = before + now - start
        if fabric.is_global_zero and now - saved > run.save_every:
            save_state(run.checkpoint, run.key, task, average, optimizer, progress)
            saved = now
    model = task.model if average is None else average.module
    return model.eval(), progress


def decay(ema: float, steps: int) -> float:
    """The decay of the average after ``steps`` steps: at first smaller than ``ema``, so that the
    average of a short training does not stay near its start (as the moving average of TensorFlow
    with ``num_updates``)."""
    return min(ema, (1 + steps) / (10 + steps))


def blend(ema: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """What moves the average (first) to the weights of a step (second), given the steps so far."""

    def move(average: Tensors, weights: Tensors, steps: Tensor | int) -> None:
        step: Any = get_ema_multi_avg_fn(decay(ema, int(steps)))  # type: ignore[no-untyped-call]
        step(average, weights, steps)

    return move


def _require_finite(what: str, value: float, step: int, steps: int) -> None:
    if not math.isfinite(value):
        raise TrainingError(
            f"{what} is {value} at step {step + 1} of {steps}; "
            "lower optim.lr, set optim.clip, or train with engine.precision=32-true"
        )


class _Batches:
    """The augmented batch of a step, as this process sees it."""

    def __init__(self, run: Run, fabric: Fabric) -> None:
        self.run, self.fabric = run, fabric
        self.epoch = -1
        self.order = torch.empty(0, dtype=torch.long)
        self.each = run.optim.batch_size // fabric.world_size

    def at(self, step: int) -> tuple[Tensor, Tensor, torch.Generator | seeding.Shard]:
        """Images (B, 3, H, W), labels (B,) and the source of all further draws of the step."""
        run, rank, world = self.run, self.fabric.global_rank, self.fabric.world_size
        epoch, batch = divmod(step, len(run.images) // run.optim.batch_size)
        if epoch != self.epoch:
            order = seeding.generator(run.seed, "order", epoch)
            self.epoch, self.order = epoch, torch.randperm(len(run.images), generator=order)
        first = batch * run.optim.batch_size + rank * self.each
        x, y = run.images.batch(self.order[first : first + self.each])
        device = self.fabric.device
        draws = seeding.generator(run.seed, "step", step, device=device)
        source = seeding.Shard(draws, rank, world) if world > 1 else draws
        return run.augment(x.to(device), source), y.to(device), source


def _means(scalars: dict[str, Tensor], fabric: Fabric) -> dict[str, float]:
    """The scalars of a step, averaged over the processes."""
    stacked = torch.stack([value.detach().float() for value in scalars.values()])
    averaged = fabric.all_reduce(stacked, reduce_op="mean")
    assert isinstance(averaged, Tensor)
    return dict(zip(scalars, averaged.tolist(), strict=True))


def build_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """The optimiser of ``model``'s trainable parameters; ``scale`` of a group multiplies its rate.

    Weight decay is for the weights of convolutions and linear layers alone: on a bias or a norm it
    does nothing useful, and on sigma's ``rho`` it would set the noise level.
    """
    decayed, free, noise = [], [], []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.endswith("noise.rho"):
            noise.append(parameter)
        elif name.endswith("weight") and parameter.ndim > 1:
            decayed.append(parameter)
        else:
            free.append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay, "scale": 1.0},
        {"params": free, "weight_decay": 0.0, "scale": 1.0},
        {"params": noise, "weight_decay": 0.0, "scale": SIGMA_LR},
    ]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr)
    return torch.optim.SGD(groups, lr=config.lr, momentum=0.9, nesterov=True)


def factor(step: int, total: int, warmup: float) -> float:
    """Share of the peak learning rate at ``step`` of ``total``: linear up, then a cosine to zero
    (Loshchilov and Hutter 2017, equation 5, without restarts)."""
    rise = max(1, round(warmup * total))
    if step < rise:
        return (step + 1) / rise
    return (1 + math.cos(math.pi * (step - rise) / max(1, total - rise))) / 2

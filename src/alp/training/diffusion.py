"""Training of the diffusion model: the noise of images at random times (Ho et al. 2020)."""

from __future__ import annotations

from torch import Tensor

from alp import seeding
from alp.defences.diffusion import Diffusion
from alp.training.base import TASKS, Source, Start, Task
from alp.training.losses import distortion
from alp.training.stages import DiffusionStage


class DiffusionTask(Task):
    """Mean squared error of the predicted noise, at times drawn evenly from 1 to the model's
    horizon (Ho et al. 2020, equation 14)."""

    def __init__(self, model: Diffusion) -> None:
        super().__init__()
        self.model: Diffusion = model

    def forward(self, x: Tensor, attacked: Tensor, y: Tensor, source: Source) -> dict[str, Tensor]:
        horizon = self.model.config.horizon
        draws = seeding.uniform((len(x), 1), source).to(x.device)[:, 0]
        # float32 may round a draw times the horizon up to the horizon itself
        times = 1 + (draws * horizon).long().clamp(max=horizon - 1)
        noise = seeding.normal(x.shape, source).to(x.device)
        predicted = self.model.predict(self.model.noised(x, times, noise), times).float()
        return {"loss": distortion(predicted, noise).mean()}


@TASKS.register("DiffusionStage")
def diffusion_task(stage: DiffusionStage, start: Start) -> DiffusionTask:
    """A new model."""
    with seeding.initialising(start.seed, "diffusion"):
        return DiffusionTask(Diffusion(stage.diffusion))

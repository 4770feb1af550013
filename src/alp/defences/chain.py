"""Purification by a diffusion model: the image is noised up to a time, then denoised step by step.

A sampler goes one step from the time t to an earlier one s. Chains of fewer steps than their time
leave times out (Nichol and Dhariwal 2021, section 4).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from itertools import pairwise
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from alp import seeding
from alp.config import PRECISIONS, require_number
from alp.defences.diffusion import Diffusion
from alp.defences.preprocessed import Preprocessed, classifier_of
from alp.errors import choose

Sampler = Literal["ddpm", "vp-sde"]

Step = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""(z, its predicted noise, fresh noise, alpha_bar at t, alpha_bar at s) -> z at s."""


def ddpm(z: Tensor, predicted: Tensor, noise: Tensor, now: Tensor, then: Tensor) -> Tensor:
    """A step of the ancestral sampler (Ho et al. 2020, algorithm 2, with the posterior's
    variance); the one to the time 0 gives the predicted image."""
    alpha = now / then
    mean = (z - (1 - alpha) / (1 - now).sqrt() * predicted) / alpha.sqrt()
    moved: Tensor = mean + ((1 - then) / (1 - now) * (1 - alpha)).sqrt() * noise
    return moved


def vp_sde(z: Tensor, predicted: Tensor, noise: Tensor, now: Tensor, then: Tensor) -> Tensor:
    """A step of Euler and Maruyama along the reverse-time VP-SDE (Song et al. 2021, equation 6 and
    appendix B; Nie et al. 2022, equation 4); the score is -predicted / sqrt(1 - alpha_bar)."""
    beta = (then / now).log()
    moved: Tensor = z + beta * (z / 2 - predicted / (1 - now).sqrt()) + beta.sqrt() * noise
    return moved


SAMPLERS: dict[str, Step] = {"ddpm": ddpm, "vp-sde": vp_sde}
"""Name to sampler."""


def schedule(time: int, steps: int) -> list[tuple[int, int]]:
    """The steps (t, s) from ``time`` to 0, as even as whole numbers are."""
    stops = [round(time * (steps - number) / steps) for number in range(steps + 1)]
    return list(pairwise(stops))


class Chain(Preprocessed):
    """A classifier behind a chain of denoising steps.

    The deployed chain has ``steps`` steps. What attackers see is the same process with
    ``gradient_steps`` steps, which they can differentiate end to end (the surrogate process of Lee
    and Kim 2023, section 3.2); with as many as ``steps`` it is the chain itself. Memory does not
    grow with the steps: each is computed again on the way back (checkpointing, as in Kang et al.
    2024). ``bpda`` goes through the deployed chain. In the ``precision`` bfloat16 the noise is
    predicted in it; the chain itself stays in float32.
    """

    trained = True

    def __init__(
        self,
        classifier: nn.Module,
        diffusion: Diffusion,
        *,
        time: int,
        steps: int,
        gradient_steps: int,
        sampler: Sampler = "ddpm",
        guidance: float = 0.0,
        rounds: int = 1,
        precision: str = "float32",
    ) -> None:
        super().__init__(classifier)
        kind = type(self).__name__
        choose(dict.fromkeys(PRECISIONS), precision, "precision")
        diffusion.require_time(f"the time of {kind}", time)
        require_number(f"the steps of {kind}", steps, 1, time, whole=True)
        require_number(f"the gradient_steps of {kind}", gradient_steps, 1, steps, whole=True)
        self.diffusion = diffusion
        self.time, self.steps, self.gradient_steps = time, steps, gradient_steps
        self.sampler, self.guidance, self.rounds = sampler, guidance, rounds
        self.precision = precision
        if gradient_steps < steps:
            self.surrogate = f"a chain of {gradient_steps} steps in place of {steps}"

    def transform(self, x: Tensor, source: seeding.Source) -> Tensor:
        return self.purified(x, source, self.steps)

    def sample(self, state: Tensor, source: seeding.Source, draws: int) -> Tensor:
        images = [self.purified(state, source, self.gradient_steps) for _ in range(draws)]
        return self._classified(torch.cat(images), draws)

    def predict(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        images = [self.transform(x, source) for _ in range(draws)]
        return self._classified(torch.cat(images), draws).mean(0)

    def purified(self, x: Tensor, source: seeding.Source, steps: int) -> Tensor:
        """One draw of purified images (B,3,H,W) in [0,1] by a chain of ``steps`` steps."""
        for _ in range(self.rounds):
            z = self.diffusion.noised(x, self._times(x, self.time), self._noise(x, source))
            for t, s in schedule(self.time, steps):
                noise = self._noise(x, source)
                towards = self._noise(x, source) if self.guidance else noise
                # The noise is drawn outside: what is computed again has to be the same.
                arguments = (self._step, z, x, noise, towards, t, s)
                if z.requires_grad and torch.is_grad_enabled():
                    z = checkpoint(*arguments, use_reentrant=False, preserve_rng_state=False)
                else:
                    z = self._step(*arguments[1:])
            x = ((z + 1) / 2).clamp(0, 1)
        return x

    def moved(self, z: Tensor, noise: Tensor, t: int, s: int) -> Tensor:
        """z (B,3,H,W) at the time t -> z at the time s, with fresh ``noise`` and no guidance."""
        low = self.precision == "bfloat16"
        with torch.autocast(z.device.type, torch.bfloat16) if low else nullcontext():
            predicted = self.diffusion.predict(z, self._times(z, t)).to(z.dtype)
        signal = self.diffusion.signal
        return SAMPLERS[self.sampler](z, predicted, noise, signal[t], signal[s])

    def _step(self, z: Tensor, x: Tensor, noise: Tensor, towards: Tensor, t: int, s: int) -> Tensor:
        """z at the time t -> z at the time s; ``towards`` noises the image that it is guided to."""
        moved = self.moved(z, noise, t, s)
        if not self.guidance:
            return moved
        now, then = self.diffusion.signal[t], self.diffusion.signal[s]
        away = z - self.diffusion.noised(x, self._times(x, t), towards)
        variance = (1 - then) / (1 - now) * (1 - now / then)
        return moved - self.guidance * variance * ((1 - now) / now).sqrt() * away

    @staticmethod
    def _times(x: Tensor, time: int) -> Tensor:
        return torch.full((len(x),), time, device=x.device)

    @staticmethod
    def _noise(x: Tensor, source: seeding.Source) -> Tensor:
        return seeding.normal(x.shape, source).to(x)

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"diffusion": self.diffusion.describe()}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        return cls(
            classifier_of(description),
            Diffusion.from_description(description["diffusion"]),
            **description["settings"],
        )

"""What the rate is for: without one the noise level collapses, with one it has an optimum.

Directions only: the pictures are tiny and the trainings last a second.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from alp.config import OptimConfig, PurifierConfig, RateConfig
from alp.data import Augment
from alp.defences import Purifier
from alp.seeding import initialising
from alp.training import PurifierStage
from alp.training.engine import build_engine
from alp.training.loop import Run, fit
from alp.training.losses import target_mse
from alp.training.tasks import PurifierTask

pytestmark = pytest.mark.slow


@pytest.fixture
def history(toy, engine, tmp_path: Path):
    """Train a purifier from a noise level; the curves of its scalars."""

    def run(objective: str, start: float) -> dict[str, list[float]]:
        with initialising(0, "purifier"):
            purifier = Purifier(PurifierConfig(8, 8, 1, sigma=start))
        rate = RateConfig(objective, psnr=18.0, step=0.2)
        optim = OptimConfig(25, 16, "adamw", lr=5e-3, weight_decay=0.0, clip=1.0, ema=0.0)
        settings = Run(toy, optim, Augment(False, 0, 0), 0, tmp_path / "checkpoint", "key")
        task = PurifierTask(PurifierStage(rate=rate), purifier)
        _, progress = fit(task, settings, build_engine(engine), lambda *report: None)
        return progress.history

    return run


def test_under_plain_mse_sigma_only_falls(history) -> None:
    curves = history("mse", 0.5)
    sigma, snr = curves["sigma"], curves["latent_snr"]
    assert sigma == sorted(sigma, reverse=True)
    assert sigma[-1] < sigma[0] / 3
    assert snr[-1] > 10 * snr[0]


def test_the_constraint_has_one_optimum_from_both_sides(history) -> None:
    """Above the collapse, and with the distortion that was allowed."""
    below, above = history("constrained", 0.1), history("constrained", 1.0)
    assert history("mse", 0.1)["sigma"][-1] < 0.1 < below["sigma"][-1] / 1.5
    assert above["sigma"][-1] < 1.0 / 1.5
    assert below["sigma"][-1] == pytest.approx(above["sigma"][-1], rel=0.4)
    for curves in (below, above):
        assert curves["mse"][-1] < 1.2 * target_mse(18.0)

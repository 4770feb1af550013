"""``alp quantise``: a defence whose purifier or diffusion model computes with few bits."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from alp.cli import COMMANDS
from alp.cli.common import CALIBRATION, calibration_images, frame_for
from alp.cli.settings import POSITIONAL, WRITTEN, Printed
from alp.config import positive


@dataclass(frozen=True, kw_only=True)
class Settings(Printed):
    """Quantise the purifier or the diffusion model of a defence after its training, simulated in
    float. What is written is a weights file like any other: evaluate and bench take it."""

    model: Path = field(metadata=POSITIONAL)
    """Weights file or packaged name of a classifier behind a purifier, diffpure, gdmp or
    one-step."""
    weights: int = 8
    """Bits of a weight, 2 to 8."""
    activations: int = 8
    """Bits of a layer's input, 2 to 8."""
    method: Literal["reconstructed", "minmax"] = "reconstructed"
    """reconstructed: Q-Diffusion (Li et al. 2023); minmax: the plain baseline, ranges by the
    largest values and nearest rounding."""
    steps: int = 300
    """Steps of learning the rounding of each block."""
    data: str = "cifar10"
    """Whose training images the grids and the rounding are fitted to."""
    seed: int = 0
    """Seed of their choice, the draws and the learning."""
    out: Path = field(metadata=WRITTEN)
    """Folder for weights.safetensors."""

    def __post_init__(self) -> None:
        positive(self, "steps")


@COMMANDS.register(
    "quantise", order=1, summary="quantise the purifier or diffusion model of a defence"
)
def run(settings: Settings) -> None:
    """Quantise the model, save it, and say what it is."""
    import torch

    from alp.cli.console import progress, show
    from alp.defences.checkpoint import save
    from alp.defences.packaged import load_classifier
    from alp.defences.quantise import quantise
    from alp.defences.quantised import QuantisedLayer

    model = load_classifier(settings.model)
    frame = frame_for([model], None)
    images = calibration_images(settings.data, settings.seed, CALIBRATION, frame)
    with progress("blocks") as bar:
        made = quantise(
            model,
            torch.from_numpy(images),
            settings.weights,
            settings.activations,
            settings.method,
            seed=settings.seed,
            steps=settings.steps,
            report=lambda block, done, total: bar("quantise", done, total, block),
        )
    path = settings.out / "weights.safetensors"
    digest = save(made, path)
    layers = sum(isinstance(each, QuantisedLayer) for each in made.modules())
    show(
        settings.json,
        {"weights": str(path), "digest": digest, "settings": made.settings, "layers": layers},
        f"{layers} layers with weights of {settings.weights} bits and inputs of "
        f"{settings.activations}, {settings.method}",
        f"weights: {path}",
    )

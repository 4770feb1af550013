"""``alp export``: a defended classifier as ONNX files that run without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alp.cli import COMMANDS
from alp.cli.common import CALIBRATION, Sized, calibration_images, frame_for
from alp.cli.settings import POSITIONAL, WRITTEN, among
from alp.config import FrameConfig, positive


@dataclass(frozen=True, kw_only=True)
class Settings(Sized):
    """Write a defended classifier as ONNX models with a description, export.json, beside them.
    ONNX Runtime computes each model before it is written; one that differs from torch by more
    than 1e-4 is refused. alp.deploy.Runtime runs the folder without torch."""

    weights: Path = field(metadata=POSITIONAL)
    """Weights file or packaged name of a defended classifier."""
    noise: str = field(default="input", metadata=among(("input", "inside")))
    """input: whoever runs it draws the noise; inside: one more model draws its own."""
    precision: str = field(default="float32", metadata=among(("float32", "int8")))
    """float32, or int8 by post-training quantisation."""
    draws: int | None = None
    """Draws of the deployed prediction; by default as the weights file says."""
    size: int | None = None
    """Height and width of the images; by default the classifier's, or 32."""
    data: str = "cifar10"
    """Whose training images set the ranges of int8."""
    images: int = CALIBRATION
    """How many of them."""
    seed: int = 0
    """Seed of their choice."""
    out: Path = field(metadata=WRITTEN)
    """Folder for the files."""

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "images")


@COMMANDS.register(
    "export", order=6, summary="write a defended classifier as ONNX files that run without torch"
)
def run(settings: Settings) -> None:
    """Export, and print what was written and how far it is from torch.

    Raises:
        ConfigError: the weights are not those of a defended classifier.
    """
    from alp.cli.console import show
    from alp.defences.packaged import load_defended
    from alp.deploy import export_onnx

    model = load_defended(settings.weights, settings.draws)
    frame = frame_for([model], settings.size) or FrameConfig()
    calibration = None
    if settings.precision == "int8":
        calibration = calibration_images(settings.data, settings.seed, settings.images, frame)
    described = export_onnx(
        model,
        settings.out,
        noise=settings.noise,
        precision=settings.precision,
        size=(frame.height, frame.width),
        calibration=calibration,
    )
    show(settings.json, {"out": str(settings.out), **described}, *_lines(described, settings.out))


def _lines(described: dict[str, Any], folder: Path) -> Iterator[str]:
    for entry in described["files"].values():
        path = folder / entry["file"]
        yield f"{path}  {path.stat().st_size / 2**20:.1f} MiB"
    for name, value in described["parity"].items():
        each = value if isinstance(value, dict) else {"": value}
        shown = ", ".join(f"{key} {one:.2g}".replace("_", " ").strip() for key, one in each.items())
        yield f"{name.replace('_', ' '):<20}{shown}"

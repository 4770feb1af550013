"""``alp protocol``: trained models by the source paper's protocol, in one table."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from alp.attacks import THREATS, Attack, Threat
from alp.cli.common import METHODS, names
from alp.cli.settings import POSITIONAL, among, given
from alp.config import positive
from alp.data import SPLITS
from alp.evaluation.knowledge import PAPER


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Measure trained models by the source paper's protocol: one attack, with the gradient of one
    draw a step at most. It flatters a randomised defence ('alp evaluate' does not). Each model
    gets a record in the folder; interrupted, the same command goes on where it stopped."""

    weights: tuple[Path, ...] = field(metadata=POSITIONAL)
    """Weights files, or packaged names, of classifiers and defended classifiers."""
    data: str = "cifar10"
    """cifar10, shapes (embedded), or a folder of pictures laid out class/file."""
    split: str = field(default="test", metadata=among(SPLITS))
    """Which split."""
    images: int = 1000
    """How many images, a fixed class-balanced choice; at most all of the split."""
    knowledge: tuple[str, ...] = field(default=PAPER, metadata=among(PAPER))
    """What the attacker knows: one column each."""
    draws: int | None = None
    """Draws of the deployed prediction; by default as the weights file says."""
    norm: str = field(default="linf", metadata=among(THREATS))
    """The norm of the threat; it decides about --threat."""
    threat: Threat = field(metadata=given(lambda by: THREATS[by["norm"]](), "norm"))
    """The ball of the attacker."""
    method: str = field(default="pgd", metadata=among(METHODS))
    """The attack; it decides about --attack."""
    attack: Attack = field(metadata=given(lambda by: METHODS[by["method"]](), "method"))
    """The attack's settings."""
    seed: int = 0
    """Seed of the choice of images, the attacks and the draws."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    out: Path
    """Folder for the records."""
    json: bool = False
    """Print JSON."""

    def __post_init__(self) -> None:
        positive(self, "images")


def run(settings: Settings) -> None:
    """Evaluate each model, then print the protocol, the table and the warnings."""
    from alp.cli.console import progress, say, say_json
    from alp.cli.tables import show_section, with_latency
    from alp.data import load_data
    from alp.defences.packaged import load_classifier
    from alp.experiments.judging import device_of, evaluate_model
    from alp.experiments.reproduce import section_of, table

    named = names(settings.weights)
    models = [load_classifier(path, settings.draws) for path in named.values()]
    device = device_of(settings.device)
    split = load_data(settings.data, settings.split)
    images = split.take(min(settings.images, len(split)), settings.seed)
    records = []
    with progress() as show:
        for name, model in zip(named, models, strict=True):
            report = partial(show, f"evaluate {name}")
            records.append(
                evaluate_model(
                    model,
                    images,
                    settings,
                    settings.out,
                    name,
                    name=name,
                    device=device,
                    progress=report,
                )
            )
    section = section_of(records, {})
    if settings.json:
        content = table(section, {})
        rows = [with_latency(row, records) for row in content["rows"]]
        say_json(content | {"rows": rows, "records": str(settings.out / "records")})
        return
    show_section(section, {})
    say(f"records    {settings.out / 'records'}")

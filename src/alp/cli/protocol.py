"""``alp protocol``: trained models by the source paper's protocol, in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from alp.attacks import THREATS, Attack, Threat
from alp.cli import COMMANDS
from alp.cli.common import methods, names
from alp.cli.settings import POSITIONAL, RESUMED, among, given
from alp.config import positive
from alp.data import SPLITS
from alp.evaluation.knowledge import PAPER

METHODS = methods()


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
    out: Path = field(metadata=RESUMED)
    """Folder for the records."""
    json: bool = False
    """Print JSON."""

    def __post_init__(self) -> None:
        positive(self, "images")


@COMMANDS.register(
    "protocol", order=3, summary="measure trained models under one attack, as the source paper does"
)
def run(settings: Settings) -> None:
    """Evaluate each model, then print the protocol, the table and the warnings."""
    import torch

    from alp.bench import profile
    from alp.cli.console import progress, say, say_json
    from alp.cli.tables import show_section, with_latency
    from alp.data import load_data
    from alp.defences.packaged import load_classifier
    from alp.evaluation import EvalConfig, PaperProtocol
    from alp.evaluation.saved import about, evaluate_into
    from alp.executors import device_of
    from alp.experiments.reproduce import section_of, table

    named = names(settings.weights)
    models = [load_classifier(path, settings.draws) for path in named.values()]
    split = load_data(settings.data, settings.split)
    images = split.take(min(settings.images, len(split)), settings.seed)
    suite, device = PaperProtocol(settings.attack, settings.knowledge), device_of(settings.device)
    config = EvalConfig(suite, settings.threat, seed=settings.seed, batch_size=100, device=device)
    first = images.batch(torch.arange(1))[0].to(device)
    records = []
    with progress("s of work") as show:
        for name, model in zip(named, models, strict=True):
            records.append(
                evaluate_into(
                    settings.out,
                    name,
                    model,
                    images,
                    config,
                    about(model, name),
                    profile=lambda defence: profile(defence, first),
                    progress=partial(report, show, name),
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


def report(show: Callable[..., object], name: str, what: str, done: float, total: float) -> None:
    """Show how far the evaluation of ``name`` is."""
    show(f"evaluate {name}", round(done), round(total), what)

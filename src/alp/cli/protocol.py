"""``alp protocol``: trained models by the source paper's protocol, in one table."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from alp.attacks import Attack
from alp.cli import COMMANDS
from alp.cli.common import Attacked, load_named, methods
from alp.cli.settings import POSITIONAL, among, given
from alp.evaluation.knowledge import PAPER

METHODS = methods()


@dataclass(frozen=True, kw_only=True)
class Settings(Attacked):
    """Measure trained models by the source paper's protocol: one attack, with the gradient of one
    draw a step at most. It flatters a randomised defence ('alp evaluate' does not). Each model
    gets a record in the folder; interrupted, the same command goes on where it stopped."""

    weights: tuple[Path, ...] = field(metadata=POSITIONAL)
    """Weights files, packaged names or references (docs/classifiers.md) of classifiers and defended
    classifiers."""
    knowledge: tuple[str, ...] = field(default=PAPER, metadata=among(PAPER))
    """What the attacker knows: one column each."""
    method: str = field(default="pgd", metadata=among(METHODS))
    """The attack; it decides about --attack."""
    attack: Attack = field(metadata=given(lambda by: METHODS[by["method"]](), "method"))
    """The attack's settings."""


@COMMANDS.register(
    "protocol",
    order=3,
    summary="measure trained models under one attack, as the source paper does",
)
def run(settings: Settings) -> None:
    """Evaluate each model, then print the protocol, the table and the warnings."""
    import torch

    from alp.bench import profile
    from alp.cli.console import progress, say, say_json
    from alp.cli.tables import show_section, with_latency
    from alp.evaluation import EvalConfig, PaperProtocol
    from alp.evaluation.saved import about, evaluate_into
    from alp.executors import device_of
    from alp.experiments.reproduce import section_of, table

    models = load_named(settings.weights, settings.draws)
    images, device = settings.chosen_images(models.values()), device_of(settings.device)
    suite = PaperProtocol(settings.attack, settings.knowledge)
    config = EvalConfig(suite, settings.threat, seed=settings.seed, batch_size=100, device=device)
    first = images.batch(torch.arange(1))[0].to(device)
    with progress() as bar:

        def report(name: str, part: str, done: float, total: float) -> None:
            share = done / total if total else 0.0
            bar(f"evaluate {name}", round(share * len(images)), len(images), part)

        records = [
            evaluate_into(
                settings.out,
                name,
                model,
                images,
                config,
                about(model, name),
                profile=lambda defence: profile(defence, first),
                progress=partial(report, name),
            )
            for name, model in models.items()
        ]
    section = section_of(records, {})
    if settings.json:
        content = table(section, {})
        rows = [with_latency(row, records) for row in content["rows"]]
        say_json(content | {"rows": rows, "records": str(settings.out / "records")})
    else:
        show_section(section, {})
        say(f"records    {settings.out / 'records'}")

"""``alp defend``: put a defence in front of a trained classifier, and save both as one model."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alp.cli import COMMANDS
from alp.cli.settings import POSITIONAL, WRITTEN, Printed, pairs


@dataclass(frozen=True, kw_only=True)
class Settings(Printed):
    """Put a defence that needs no training of its own in front of a trained classifier. What is
    written is a weights file like any other: evaluate, certify and bench take it."""

    defence: str = field(metadata=POSITIONAL)
    """A registered defence; here with the model that it needs besides the classifier, and the
    settings of --set with their defaults. bit-depth: bits=5. cascade (--light): confidence=0.9.
    defended (--purifier): draws=20. densepure (--diffusion): sigma=0.25 steps=2 seeds=5. diffpure
    (--diffusion): time=100 steps=100 sampler=ddpm (or vp-sde) gradient_steps=5 precision=float32
    (or bfloat16). gdmp (--diffusion): time=36 steps=36 rounds=4 guidance=18.7 gradient_steps=2
    precision=float32. jpeg: quality=75. median: window=2. one-step (--diffusion): time=100.
    smoothing: sigma=0.25 draws=100. unified (--latents): steps=4 draws=1."""
    classifier: Path = field()
    """Weights file, packaged name or reference of the classifier (docs/classifiers.md). Of a random
    model of this very defence the classifier in it is taken: so its settings are changed."""
    purifier: Path | None = None
    """Weights file, or packaged name, of a purifier, where the defence is one."""
    light: Path | None = None
    """Weights file, or packaged name, of the cheaper classifier of a cascade."""
    diffusion: Path | None = None
    """Weights file, or packaged name, of a diffusion model, where the defence needs one."""
    latents: Path | None = None
    """Weights file, or packaged name, of unified latents, where the defence needs them."""
    set: tuple[str, ...] = ()
    """Settings of the defence as NAME=VALUE, such as steps=50."""
    out: Path = field(metadata=WRITTEN)
    """Folder for weights.safetensors."""


@COMMANDS.register(
    "defend", order=1, summary="put a defence in front of a trained classifier, as one model"
)
def run(settings: Settings) -> None:
    """Assemble the defence, save it, and say what it is."""
    from alp.cli.console import show
    from alp.defences.assemble import assemble
    from alp.defences.checkpoint import save
    from alp.defences.diffusion import Diffusion
    from alp.defences.packaged import load_classifier, load_kind, load_purifier
    from alp.defences.unified import UnifiedLatents

    given = pairs("set", settings.set, "NAME=VALUE, such as steps=50")
    chosen = {name: _plain(value) for name, value in given.items()}
    made = assemble(
        settings.defence,
        load_classifier(settings.classifier),
        None if settings.diffusion is None else load_kind(settings.diffusion, Diffusion),
        chosen,
        None if settings.purifier is None else load_purifier(settings.purifier),
        None if settings.light is None else load_classifier(settings.light),
        None if settings.latents is None else load_kind(settings.latents, UnifiedLatents),
    )
    path = settings.out / "weights.safetensors"
    digest = save(made, path)
    parameters = sum(each.numel() for each in made.parameters())
    told = {"defence": settings.defence, "settings": made.settings, "parameters": parameters}
    words = ", ".join(f"{name} {value}" for name, value in made.settings.items())
    show(
        settings.json,
        {"weights": str(path), "digest": digest, **told},
        f"{settings.defence}: {words or 'no settings'}; {parameters:,} parameters",
        f"weights: {path}",
    )


def _plain(text: str) -> Any:
    """A plain value; what is no JSON is a text."""
    try:
        return json.loads(text)
    except ValueError:
        return text

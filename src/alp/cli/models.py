"""``alp models``: what can be trained, and what a weights file holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alp.cli.selection import POSITIONAL
from alp.training.recipes import RECIPES, SCALES

if TYPE_CHECKING:
    from torch import nn

    from alp.models.checkpoint import Model


@dataclass(frozen=True, kw_only=True)
class Settings:
    """List architectures and recipes with their cost and result, or describe a weights file."""

    file: Path | None = field(default=None, metadata=POSITIONAL)
    """A weights file; without one, everything that alp can train."""
    json: bool = False
    """Print JSON."""


def run(settings: Settings) -> None:
    """Print the lists, or the description of the file."""
    from alp.cli.console import say, say_json

    if settings.file is not None:
        described = describe_file(settings.file)
        if settings.json:
            say_json(described)
        else:
            say(*(f"{name:<12}{_text(value)}" for name, value in described.items()))
        return
    listed = {"architectures": architectures(), "recipes": recipes(), "scales": SCALES}
    if settings.json:
        say_json(listed)
    else:
        say(*_tables(listed))


def describe_file(path: Path) -> dict[str, Any]:
    """What a weights file holds; loading it verifies its digests.

    Raises:
        CheckpointError: the file is missing, damaged or not one of alp's.
    """
    from alp.models import Defended, Purifier
    from alp.models.checkpoint import describe, load_model, weights_digest

    model: Model = load_model(path)
    described = describe(model)
    front = model.purifier if isinstance(model, Defended) else model
    if isinstance(front, Purifier):
        described["sigma"] = front.sigma
    described["parameters"] = parameters(model)
    described["digest"] = weights_digest(model)
    return {"file": str(path), "verified": True, **described}


def architectures() -> list[dict[str, Any]]:
    """Every architecture with its number of parameters."""
    from alp.config import ClassifierConfig, PurifierConfig
    from alp.models import Purifier, ResNetLite
    from alp.models.classifier import SIZES

    purifier = Purifier(PurifierConfig())
    found = [
        {"name": "purifier", "parameters": parameters(purifier)},
        {"name": "purifier: encoder, once an image", "parameters": parameters(purifier.encoder)},
        {"name": "purifier: decoder, once a draw", "parameters": parameters(purifier.decoder)},
    ]
    for size in SIZES:
        classifier = ResNetLite(ClassifierConfig(size))  # type: ignore[arg-type]
        found.append({"name": f"classifier {size}", "parameters": parameters(classifier)})
    return found


def recipes() -> list[dict[str, str]]:
    """Every recipe at every scale with its cost and its result."""
    return [
        {
            "name": name,
            "scale": scale,
            "stage": type(recipe.stage).__name__,
            "needs": ", ".join(
                part for part in ("purifier", "classifier") if getattr(recipe, part)
            ),
            "cost": recipe.cost,
            "result": recipe.result,
        }
        for name, scales in RECIPES.items()
        for scale, recipe in scales.items()
    ]


def parameters(module: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def _tables(listed: dict[str, Any]) -> list[Any]:
    from rich.table import Table

    built = Table("architecture", box=None, pad_edge=False)
    built.add_column("parameters", justify="right")
    for each in listed["architectures"]:
        built.add_row(each["name"], f"{each['parameters']:,}")
    taught = Table(
        "recipe", "scale", "needs weights of", "cost", "result", box=None, pad_edge=False
    )
    for each in listed["recipes"]:
        taught.add_row(*(each[key] for key in ("name", "scale", "needs", "cost", "result")))
    scales = [f"scale {name}: {words}" for name, words in listed["scales"].items()]
    return [built, "", taught, "", *scales]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)

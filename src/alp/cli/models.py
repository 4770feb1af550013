"""``alp models``: what is packaged, what can be trained, and what a model is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alp.cli import COMMANDS
from alp.cli.settings import POSITIONAL, Printed
from alp.training.recipes import RECIPES, SCALES

if TYPE_CHECKING:
    from torch import nn

    from alp.defences.base import Model


@dataclass(frozen=True, kw_only=True)
class Settings(Printed):
    """List the packaged models, and architectures and recipes with their cost and result; or
    describe one model, of which every digest is verified."""

    file: Path | None = field(default=None, metadata=POSITIONAL)
    """A weights file, or the name of a packaged model; without one, the lists."""


@COMMANDS.register(
    "models",
    order=10,
    summary="list packaged models, architectures and recipes, or describe a model",
)
def run(settings: Settings) -> None:
    """Print the lists, or the description of the model."""
    from alp.cli.console import show

    if settings.file is not None:
        described = describe_file(settings.file)
        lines = (f"{name:<12}{_text(value)}" for name, value in described.items())
        show(settings.json, described, *lines)
        return
    listed = {
        "packaged": packaged(),
        "architectures": architectures(),
        "recipes": recipes(),
        "scales": SCALES,
    }
    show(settings.json, listed, *_tables(listed))


def describe_file(path: Path) -> dict[str, Any]:
    """What a weights file or a packaged name holds; loading it verifies its digests.

    Raises:
        CheckpointError: it is missing, damaged or not one of alp's.
    """
    from alp.defences.checkpoint import weights_digest
    from alp.defences.packaged import load

    model: Model = load(path)
    described = model.describe()
    if (sigma := model.sigma) is not None:
        described["sigma"] = sigma
    described["parameters"] = parameters(model)
    described["digest"] = weights_digest(model)
    return {"file": str(path), "verified": True, **described}


def packaged() -> list[dict[str, Any]]:
    """Every packaged model: its name for ``alp.load``, and the accuracies of its most thorough
    evaluation, None where there is none.

    Raises:
        CheckpointError: a package is damaged.
    """
    from alp.defences.packaged import ROOT, open_package, packages

    found = []
    for package in packages():
        manifest = open_package(ROOT / package).manifest
        for row, each in manifest["rows"].items():
            told = next(iter(each["evaluation"]["verdicts"]), None)
            found.append(
                {
                    "name": package if row == manifest["default"] else f"{package}/{row}",
                    "title": each["title"],
                    "parameters": each["parameters"],
                    "clean": told and told["clean"]["value"],
                    "worst": told and told["worst"]["value"],
                    "suite": told and told["suite"],
                }
            )
    return found


def architectures() -> list[dict[str, Any]]:
    """Every architecture with its number of parameters."""
    from alp.config import ClassifierConfig, PurifierConfig
    from alp.defences import Purifier, ResNetLite
    from alp.defences.classifier import SIZES

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


def _tables(listed: dict[str, Any]) -> Iterator[Any]:
    from alp.cli.console import table
    from alp.report.format import percent

    ready = [("packaged", "model", "parameters", "clean", "worst case", "suite")]
    for each in listed["packaged"]:
        shares = ("" if each[key] is None else percent(each[key]) for key in ("clean", "worst"))
        count = f"{each['parameters']:,}"
        ready.append((each["name"], each["title"], count, *shares, each["suite"] or ""))
    yield table(ready, left=(0, 1, 5))
    yield ""
    built = [(each["name"], f"{each['parameters']:,}") for each in listed["architectures"]]
    yield table([("architecture", "parameters"), *built])
    yield ""
    keys = ("name", "scale", "needs", "cost", "result")
    taught = [[each[key] for key in keys] for each in listed["recipes"]]
    yield table([("recipe", "scale", "needs weights of", "cost", "result"), *taught], left=range(5))
    yield ""
    yield from (f"scale {name}: {words}" for name, words in listed["scales"].items())


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)

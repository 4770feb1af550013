"""``alp attack``: attacked images, as numbers and as pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alp.attacks import Attack
from alp.cli import COMMANDS
from alp.cli.common import Attacked, methods
from alp.cli.settings import POSITIONAL, WRITTEN, among, given
from alp.config import positive, within
from alp.evaluation.knowledge import KNOWLEDGE

if TYPE_CHECKING:
    from torch import Tensor

    from alp.data import Images
    from alp.defences.base import Defence


LEVELS = tuple(level for level in KNOWLEDGE if level != "transfer")
"""The levels that need no other model."""

METHODS = methods()

GAIN = 10
"""By how much the difference between clean and attacked is enlarged to be seen."""

TILE = 96
"""Least side of a picture in a grid: smaller ones are enlarged by whole factors."""


@dataclass(frozen=True, kw_only=True)
class Settings(Attacked):
    """Attack images of a data set. The folder gets the pictures (clean, attacked, their
    difference times ten, the attacked one purified) and adversarial.safetensors with all images.
    At one draw the attack is the very one that 'alp protocol' makes with the same settings."""

    weights: Path = field(metadata=POSITIONAL)
    """Weights file, packaged name or reference (docs/classifiers.md) of a classifier or defended
    classifier."""
    images: int | None = None
    """How many images, a fixed class-balanced choice; by default 100, or all of a smaller
    split."""
    usual = 100
    pictures: int = 8
    """Of how many images pictures are written."""
    knowledge: str = field(default="single", metadata=among(LEVELS))
    """What the attacker knows."""
    averaged: int = 1
    """Draws of the defence that the attacker averages at each step (bpda, fixed, eot, score)."""
    method: str = field(default="pgd", metadata=among(METHODS))
    """The attack; it decides about --attack."""
    attack: Attack = field(metadata=given(lambda by: METHODS[by["method"]](), "method"))
    """The attack's settings."""
    out: Path = field(metadata=WRITTEN)
    """Folder for the pictures and adversarial.safetensors."""

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "averaged")
        within(self, 0, float("inf"), "pictures")


@COMMANDS.register("attack", order=4, summary="attack images and write pictures of what happens")
def run(settings: Settings) -> None:
    """Attack, print accuracies and distances, write the pictures.

    Raises:
        ConfigError: the model tells other classes apart than the images have.
    """
    import torch

    from alp.cli.console import show
    from alp.defences.classes import require_same_classes
    from alp.defences.packaged import load_classifier
    from alp.executors import device_of

    device = device_of(settings.device)
    defence = load_classifier(settings.weights, settings.draws).to(device)
    images = settings.chosen_images([defence])
    with torch.no_grad():
        logits = defence(images.batch(torch.arange(1))[0].to(device))
    require_same_classes(defence, images, logits.shape[1])
    tensors = attacked(defence, images, settings, device)
    result = _result(tensors, images, settings)
    write(tensors, defence.stochastic, settings)
    show(settings.json, result, *_lines(result, settings))


def attacked(
    defence: Defence, images: Images, settings: Settings, device: str
) -> dict[str, Tensor]:
    """The columns of all images: ``clean`` and ``attacked`` (N,3,H,W), ``purified`` (one draw of
    the attacked ones), ``labels``, ``clean_prediction``, ``attacked_prediction``, ``distance``."""
    import torch

    from alp import seeding
    from alp.cli.console import progress
    from alp.evaluation import generate, judge
    from alp.experiments.workspace import BATCH

    level, seed, draws = settings.knowledge, settings.seed, settings.averaged
    parts: list[dict[str, Tensor]] = []
    with progress() as show:
        show("attack", 0, len(images))
        for batch, (index, clean, labels) in enumerate(images.batches(BATCH)):
            x, y = clean.to(device), labels.to(device)
            threat, attack = settings.threat, settings.attack
            x_adv = generate(
                defence, level, x, y, threat, attack, seed=seed, batch=batch, draws=draws
            )
            source = seeding.generator(seed, "purify", batch, device=x.device)
            with torch.no_grad():
                purified = defence.purify(x_adv, source)
            found = {
                "clean": x,
                "attacked": x_adv,
                "purified": purified,
                "labels": y,
                "clean_prediction": judge(defence, x, seed, "clean", batch),
                "attacked_prediction": judge(defence, x_adv, seed, level, batch),
                "distance": settings.threat.distance(x_adv, x),
            }
            parts.append({name: values.cpu() for name, values in found.items()})
            show("attack", int(index[-1]) + 1, len(images))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def write(tensors: dict[str, Tensor], stochastic: bool, settings: Settings) -> None:
    """The pictures one by one, all of them in ``grid.png``, and ``adversarial.safetensors``."""
    from safetensors.torch import save_file

    from alp.files import write_atomically

    few = {name: values[: settings.pictures] for name, values in tensors.items()}
    shown = {
        "clean": few["clean"],
        "attacked": few["attacked"],
        "difference": (0.5 + GAIN * (few["attacked"] - few["clean"])).clamp(0, 1),
    }
    if stochastic:
        shown["purified"] = few["purified"]
    for name, images in shown.items():
        for number, image in enumerate(images):
            write_png(settings.out / "pictures" / f"{number:04d}-{name}.png", image)
    if len(few["clean"]):
        write_png(settings.out / "grid.png", grid(list(shown.values())))
    kept = {name: values.contiguous() for name, values in tensors.items()}
    path = settings.out / "adversarial.safetensors"
    write_atomically(path, lambda temporary: save_file(kept, temporary))


def _result(tensors: dict[str, Tensor], images: Images, settings: Settings) -> dict[str, Any]:
    """Protocol, accuracies with their intervals, and distances, as JSON values."""
    from alp.evaluation import About
    from alp.evaluation.header import attackers, header
    from alp.experiments.workspace import BATCH
    from alp.records import KIND_ROBUSTNESS
    from alp.records.statistics import wilson

    def accuracy(name: str) -> dict[str, float]:
        right = int((tensors[name] == tensors["labels"]).sum())
        low, high = wilson(right, len(images))
        return {"value": right / len(images), "low": low, "high": high}

    where = {"seed": settings.seed, "batch_size": BATCH, "device": settings.device}
    own = attackers(settings.attack, settings.threat, [settings.knowledge])
    about = About(settings.weights.name)
    begun = header(KIND_ROBUSTNESS, about, images, settings.threat, where, own)
    protocol = {key: begun[key] for key in ("images", "data", "threat", "attack", "knowledge")}
    return {
        "protocol": protocol | {"seed": settings.seed, "averaged": settings.averaged},
        "clean": accuracy("clean_prediction"),
        "attacked": accuracy("attacked_prediction"),
        "mean_distance": float(tensors["distance"].mean()),
        "out": str(settings.out),
    }


def _lines(result: dict[str, Any], settings: Settings) -> Iterator[str]:
    from alp.cli.tables import protocol_lines
    from alp.records.statistics import few_images
    from alp.report.format import attack_words, count, interval, percent

    protocol = result["protocol"]
    ((level, words),) = protocol["knowledge"].items()
    averaged = f"; {count(settings.averaged, 'draw')} a step" if settings.averaged > 1 else ""
    yield from protocol_lines(protocol)
    yield f"attack     {attack_words(protocol['attack'], protocol['threat'])}"
    yield f"attacker   {level}: {' '.join(words.split())}{averaged}"
    for name in ("clean", "attacked"):
        share = result[name]
        yield f"{name:<11}{percent(share['value'])} correct (95 % interval {interval(share)})"
    yield from (f"warning    {text}" for text in few_images(protocol["images"]))
    yield f"distance   {result['mean_distance']:.4g} on average"
    yield f"pictures   {settings.out / 'grid.png' if settings.pictures else 'none'}"
    yield f"images     {settings.out / 'adversarial.safetensors'}"


def write_png(path: Path, image: Tensor) -> None:
    """Write an image (3,H,W) in [0,1] as PNG, atomically."""
    from alp.data.picture import write_png as write_pixels

    write_pixels(path, image.mul(255).round().byte().permute(1, 2, 0).contiguous().numpy())


def grid(rows: Sequence[Tensor]) -> Tensor:
    """Rows of images (N,3,H,W) in [0,1] as one picture (3, height, width), a pixel apart."""
    import torch
    from torch.nn import functional as F

    factor = max(1, -(-TILE // rows[0].shape[-1]))
    lines = []
    for row in rows:
        large = F.pad(
            row.repeat_interleave(factor, 2).repeat_interleave(factor, 3), (1,) * 4, value=1
        )
        lines.append(torch.cat(list(large), 2))
    return torch.cat(lines, 1)

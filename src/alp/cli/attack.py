"""``alp attack``: attacked images, as numbers and as pictures.

Tensors to picture files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alp.attacks import THREATS, Attack, Threat
from alp.cli import COMMANDS
from alp.cli.common import methods
from alp.cli.settings import POSITIONAL, WRITTEN, among, given
from alp.config import positive, within
from alp.data import SPLITS
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


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Attack images of a data set. The folder gets the pictures (clean, attacked, their
    difference times ten, the attacked one purified) and adversarial.safetensors with all images.
    At one draw the attack is the very one that 'alp protocol' makes with the same settings."""

    weights: Path = field(metadata=POSITIONAL)
    """Weights file, or packaged name, of a classifier or defended classifier."""
    data: str = "cifar10"
    """cifar10, shapes (embedded), or a folder of pictures laid out class/file."""
    split: str = field(default="test", metadata=among(SPLITS))
    """Which split."""
    images: int = 100
    """How many images, a fixed class-balanced choice; at most all of the split."""
    pictures: int = 8
    """Of how many images pictures are written."""
    knowledge: str = field(default="single", metadata=among(LEVELS))
    """What the attacker knows."""
    averaged: int = 1
    """Draws of the defence that the attacker averages at each step (bpda, fixed, eot, score)."""
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
    """Seed of the choice of images, the attack and the draws."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    out: Path = field(metadata=WRITTEN)
    """Folder for the pictures and adversarial.safetensors."""
    json: bool = False
    """Print JSON."""

    def __post_init__(self) -> None:
        positive(self, "images", "averaged")
        within(self, 0, float("inf"), "pictures")


@COMMANDS.register("attack", order=4, summary="attack images and write pictures of what happens")
def run(settings: Settings) -> None:
    """Attack, print accuracies and distances, write the pictures."""
    from alp.cli.console import say, say_json
    from alp.data import load_data
    from alp.defences.packaged import load_classifier
    from alp.executors import device_of

    device = device_of(settings.device)
    defence = load_classifier(settings.weights, settings.draws).to(device)
    split = load_data(settings.data, settings.split)
    images = split.take(min(settings.images, len(split)), settings.seed)
    tensors = attacked(defence, images, settings, device)
    result = _result(tensors, images, settings)
    write(tensors, defence.stochastic, settings)
    if settings.json:
        say_json(result)
    else:
        say(*_words(result, settings))


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


def _words(result: dict[str, Any], settings: Settings) -> list[str]:
    from alp.report.format import attack_words, count, interval, percent, threat_words

    protocol, distance = result["protocol"], result["mean_distance"]
    data = protocol["data"]
    ((level, words),) = protocol["knowledge"].items()
    averaged = f"; {count(settings.averaged, 'draw')} a step" if settings.averaged > 1 else ""
    return [
        f"images     {protocol['images']:,} of {data['name']} ({data['split']})",
        f"threat     {threat_words(protocol['threat'])}",
        f"attack     {attack_words(protocol['attack'], protocol['threat'])}",
        f"attacker   {level}: {' '.join(words.split())}{averaged}",
        *(
            f"{name:<11}{percent(result[name]['value'])} correct "
            f"(95 % interval {interval(result[name])})"
            for name in ("clean", "attacked")
        ),
        f"distance   {distance:.4g} on average",
        f"pictures   {settings.out / 'grid.png'}" if settings.pictures else "pictures   none",
        f"images     {settings.out / 'adversarial.safetensors'}",
    ]


TILE = 96
"""Least side of a picture in a grid: smaller ones are enlarged by whole factors."""


def write_png(path: Path, image: Tensor) -> None:
    """Write an image (3,H,W) in [0,1] as PNG, atomically."""
    from alp.data.decode import write_png as write_pixels

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

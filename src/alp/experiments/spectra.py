"""Which frequencies an attack uses, and which the purifier takes away.

Records, of the zero-shot purifier before the classifier that was fine-tuned on purified images
(ALP standalone of trial 0). ``spectra`` (:mod:`alp.records.record`): for each image the power by
radial frequency of the attack, of what is left of it behind the purifier on the same draw, and of
what purification takes from the clean image. ``points`` (:mod:`alp.records.points`), one a band:
clean and attacked by PGD whose change of the image is limited to the band.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alp import seeding
from alp.attacks import PGD, Threat
from alp.attacks.base import Source, Target
from alp.defences import Defended
from alp.evaluation import About, generate
from alp.evaluation.grid import Point
from alp.evaluation.header import attackers, header
from alp.experiments import EXPERIMENTS, trained
from alp.experiments.workspace import BATCH, Workspace
from alp.records import KIND_SPECTRA, Record
from alp.records.record import BINS

SETS = ("attack", "behind", "removed")
"""The attack, the same behind the purifier, and what purification takes from the clean image."""

BANDS = {"low": (0.0, 0.25), "high": (0.25, 1.0), "all": (0.0, 1.0)}
"""Name of a band to its ends, cycles a pixel: 0.25 is half of what pixels can hold along an
axis."""

LEVELS = ("oblivious", "single")
"""What the attacker knows."""

SHARE = 0.128
"""Of the protocol's images."""


def radius(height: int, width: int) -> Tensor:
    """Radial frequency, cycles a pixel, of each coefficient of a Fourier transform,
    (height, width)."""
    return torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None])


@dataclass(frozen=True)
class BandPGD:
    """PGD whose change of an image has no frequency outside [``low``, ``high``), but for what the
    clipping to [0,1] adds. Where the band makes a change too large, it is scaled to the radius."""

    low: float
    """Lowest radial frequency, cycles a pixel."""
    high: float
    """The first one above the band."""
    steps: int = 7
    """Gradient steps, as of :class:`~alp.attacks.PGD`."""

    @property
    def calls(self) -> tuple[int, int]:
        return PGD(self.steps).calls

    def __call__(
        self, target: Target, x: Tensor, y: Tensor, threat: Threat, source: Source
    ) -> Tensor:
        height, width = x.shape[-2:]
        frequency = radius(height, width)[:, : width // 2 + 1].to(x)
        kept = (frequency >= self.low) & (frequency < self.high)

        def within(point: Tensor) -> Tensor:
            change = torch.fft.irfft2(torch.fft.rfft2(point - x) * kept, s=(height, width))
            largest = change.detach().abs().flatten(1).amax(1).view(-1, 1, 1, 1)
            changed: Tensor = x + change * (threat.eps / largest.clamp(min=threat.eps))
            return changed.clamp(0, 1)

        point = PGD(self.steps)(lambda z: target(within(z)), x, y, threat, source)
        return within(point).detach()


@EXPERIMENTS.register(
    "spectra", order=18, summary="the frequencies of attacks and of what purification takes"
)
def spectra(workspace: Workspace) -> list[Record]:
    """The spectra, and what is left of attacks in each band."""
    protocol, images = workspace.protocol, workspace.share_of_images(SHARE)
    model = trained.standalone(workspace, 0)
    about = workspace.about(trained.STANDALONE, model)
    points = [Point(), *(Point(level, protocol.threat.eps) for level in LEVELS)]
    records = [workspace.record("spectra", about, lambda: _spectra(workspace, about, model))]
    records += [
        workspace.points(
            name,
            trained.STANDALONE,
            model,
            BandPGD(*band, steps=protocol.attack.steps),
            points,
            images,
            extra={"band": name},
        )
        for name, band in BANDS.items()
    ]
    return records


def _spectra(workspace: Workspace, about: About, model: Defended) -> Record:
    protocol, images, level = workspace.protocol, workspace.share_of_images(SHARE), LEVELS[-1]
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in SETS}
    for batch, (_, x, y) in enumerate(images.batches(BATCH)):
        attacked = generate(
            model, level, x, y, protocol.threat, protocol.attack, seed=protocol.seed, batch=batch
        )
        with torch.no_grad():
            clean, left = (
                model.purify(each, seeding.generator(protocol.seed, "purify", batch))
                for each in (x, attacked)
            )
        for name, change in zip(SETS, (attacked - x, left - clean, x - clean), strict=True):
            parts[name].append(power(change).numpy())
    columns: dict[str, NDArray[Any]] = {
        "index": np.arange(len(images)),
        "label": images.labels.numpy(),
    }
    for name, each in parts.items():
        columns |= {f"{name}_{k}": bin for k, bin in enumerate(np.concatenate(each).T)}
    own = {
        **attackers(protocol.attack, protocol.threat, [level]),
        "warnings": [],
        "level": level,
        "sets": list(SETS),
    }
    where = {"seed": protocol.seed, "batch_size": BATCH, "device": "cpu"}
    return Record(header(KIND_SPECTRA, about, images, protocol.threat, where, own), columns)


def power(images: Tensor) -> Tensor:
    """Power of images (B,C,H,W) by radial frequency, (B, BINS): equal steps up to 0.5 cycles a
    pixel, and what lies beyond in the last bin. The sum is the images' squared length."""
    height, width = images.shape[-2:]
    whole = torch.fft.fft2(images).abs().square().sum(1) / (height * width)
    place = (2 * BINS * radius(height, width)).long().clamp(max=BINS - 1).flatten()
    found = torch.zeros(len(images), BINS, dtype=whole.dtype)
    return found.index_add_(1, place, whole.flatten(1))

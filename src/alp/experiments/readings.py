"""Under which reading the paper's numbers come out.

The paper leaves open what holds the scale of the latent, which its sigma is a multiple of. Each
reading is a purifier of its own, trained on clean images before a classifier that nobody
fine-tuned. All are smaller than the paper's and of a short training, the same for every reading,
so that they compare with one another.

Records of the kind ``points`` (:mod:`alp.records.points`), one a reading: clean, under an attack
on the classifier alone, under one on both, and under one on both whose radius is in the units of
normalised images; and, clean and under one on both, with the paper's sigma in place of the learned
one, beside which a purifier that was trained at that sigma stands. ``extra`` of the header has
``latent_rms`` (root mean square of the latent means) and ``paper`` (``psnr``, ``sigma`` and
``single`` to the published number, in dB, latent units and per cent, and how far from it counts as
equal).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from alp.data import Images
from alp.defences import Purifier
from alp.evaluation.grid import Point
from alp.experiments import EXPERIMENTS, trained
from alp.experiments.claims import claims
from alp.experiments.workspace import BATCH, Workspace
from alp.records import Record

Settings = Mapping[str, Any]

MSE = {"objective": "mse"}
SIGMA = 0.219
"""The paper's noise level."""

FIXED = {"noise": "fixed", "sigma": SIGMA}
COMPACT = {"stride": 8}

READINGS: dict[str, tuple[Settings, Settings]] = {
    "least rate at 26.2 dB": ({}, {}),
    "ELBO, weight 1e-6": ({}, {"objective": "elbo"}),
    "MSE, bounded latent": ({"latent": "bounded"}, MSE),
    "fixed 0.219, bounded": ({"latent": "bounded", **FIXED}, MSE),
    "64x4x4, least rate": (COMPACT, {}),
    "64x4x4, MSE, bounded": ({"latent": "bounded", **COMPACT}, MSE),
    "64x4x4, no linear path": ({"latent": "bounded", "linear": False, **COMPACT}, MSE),
}
"""Name of a reading, the first one ours, to the settings of the purifier and of its objective that
are not the usual ones."""

NORMALISED = 0.25
"""Mean standard deviation of CIFAR-10's pixels: the unit of normalised images."""

CLAIMS = {"psnr": "hierarchy.alp.psnr", "sigma": "sigma.mean", "single": "hierarchy.alp.robust"}
"""Column of the table to the claim that it is held against."""

SHARE = 0.064
"""Of the protocol's images."""


@EXPERIMENTS.register("readings", order=17, summary="which reading of the paper gives its numbers")
def readings(workspace: Workspace) -> list[Record]:
    """A purifier a reading, on the same images."""
    return [_measured(workspace, name) for name in workspace.grid(tuple(READINGS))]


def _measured(workspace: Workspace, name: str) -> Record:
    protocol, images = workspace.protocol, workspace.share_of_images(SHARE)
    purifier = purifier_of(workspace, name)
    model = trained.behind(purifier, trained.standard(workspace), 1)
    eps = protocol.threat.eps
    points = [Point(), Point("oblivious", eps), Point("single", eps)]
    points += [
        Point("single", NORMALISED * eps),
        Point(sigma=SIGMA),
        Point("single", eps, sigma=SIGMA),
    ]
    found = {claim.id: claim for claim in claims()}
    paper = {column: [found[id].value, found[id].tolerance] for column, id in CLAIMS.items()}
    extra = {"latent_rms": _rms(purifier, images), "paper": paper}
    return workspace.points(_place(name), name, model, protocol.attack, points, images, extra=extra)


def purifier_of(workspace: Workspace, name: str) -> Purifier:
    """The purifier under a reading, trained where it is missing."""
    return trained.small(workspace, f"reading-{_place(name)}", *READINGS[name])


def _place(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def _rms(purifier: Purifier, images: Images) -> float:
    """The root mean square of the latent means of ``images``."""
    with torch.no_grad():
        powers = [
            float(purifier.encode(x).square().mean()) * len(x) for _, x, _ in images.batches(BATCH)
        ]
    return math.sqrt(sum(powers) / len(images))

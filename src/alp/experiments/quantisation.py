"""What few bits do to a purifier by diffusion: how rounding errors grow along its chain (Jensen et
al. 2025), how much learned rounding wins back (Li et al. 2023), and whether errors protect.

Records of DiffPure before the standard classifier, and of quantised copies of it. ``points``
(:mod:`alp.records.points`), one a model: clean, and attacked by those who see the gradient of a
shorter chain, straight through the rounding, or who put the identity in the place of the whole
chain's derivative. ``chains`` (:mod:`alp.records.record`), one a copy: for chains of several
lengths, the same noise through the float and the quantised model, and each step of the longest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from alp import seeding
from alp.defences.chain import Chain, schedule
from alp.defences.checkpoint import save, weights_digest
from alp.defences.diffpure import DiffPure
from alp.defences.diffusion import PURIFYING, Diffusion
from alp.defences.packaged import load_kind, require_classifier
from alp.defences.quantise import IMAGES, STEPS, quantise
from alp.defences.quantised import Method, Quantised
from alp.errors import ConfigError
from alp.evaluation import About
from alp.evaluation.grid import Point
from alp.evaluation.header import header
from alp.experiments import EXPERIMENTS, trained
from alp.experiments.workspace import Workspace
from alp.records import KIND_CHAINS, Record
from alp.training.recipes import stage_of
from alp.training.stages import DiffusionStage

LENGTHS = (10, 25, 50, 100)
"""Steps of the chains."""

CHAINED = 16
"""Images that go through them."""

SHARE = 0.064
"""Of the protocol's images, that are purified and attacked."""

EPOCHS = 3.0
"""Of the diffusion model's training, where no weights are given: a sixth of the recipe's."""

FLOAT = "DiffPure"


@dataclass(frozen=True)
class Scheme:
    """A way to quantise."""

    weights: int
    """Bits of a weight."""
    activations: int
    """Bits of a layer's input."""
    method: Method
    """How numbers get their grids."""

    @property
    def name(self) -> str:
        """As records and folders call it."""
        return f"w{self.weights}a{self.activations}-{self.method}"


SCHEMES = (
    Scheme(8, 8, "minmax"),
    Scheme(8, 8, "reconstructed"),
    Scheme(4, 8, "minmax"),
    Scheme(4, 8, "reconstructed"),
)

LEVELS = ("single", "bpda")
"""What the attacker does about the chain."""


@EXPERIMENTS.register(
    "quantisation", order=33, summary="few bits in a purifier by diffusion: how errors grow"
)
def quantisation(workspace: Workspace) -> list[Record]:
    """A record of the float model, and two of each copy."""
    plain = _chain(workspace)
    records = [_measured(workspace, "float", FLOAT, plain)]
    for scheme in workspace.grid(SCHEMES):
        copy = _quantised(workspace, plain, scheme)
        records.append(_measured(workspace, scheme.name, f"{FLOAT}, {scheme.name}", copy))
        about = workspace.about(f"{FLOAT}, {scheme.name}", copy)
        make = partial(_grown, workspace, plain, copy, about)
        records.append(workspace.record(f"{scheme.name}-chains", about, make))
    return records


def _chain(workspace: Workspace) -> DiffPure:
    """DiffPure before the standard classifier; at scale ``smoke`` of few steps."""
    usual = stage_of("diffusion", workspace.protocol.scale, DiffusionStage)
    optim = replace(usual.optim, epochs=min(EPOCHS, usual.optim.epochs))
    given = workspace.given_path("diffusion", 0)
    stage = replace(usual, optim=optim)
    path = given or workspace.train("diffusion", "diffusion", stage=stage).path
    diffusion = load_kind(path, Diffusion)
    classifier = require_classifier(trained.standard(workspace).model, "the classifier")
    steps = 10 if workspace.protocol.scale == "smoke" else PURIFYING
    return DiffPure(classifier, diffusion, steps=steps).eval()


def _quantised(workspace: Workspace, plain: DiffPure, scheme: Scheme) -> Quantised:
    """The copy of a scheme, made once of the same weights."""
    place = f"diffpure-{scheme.name}-{weights_digest(plain)[:12]}"
    path: Path = workspace.folder / "models" / place / "weights.safetensors"
    if not path.exists():
        count = min(IMAGES, len(workspace.training_images))
        images, _ = workspace.training_images.batch(torch.arange(count))
        bits = scheme.weights, scheme.activations

        def report(what: str, done: int, total: int) -> None:
            workspace.report(f"quantise {scheme.name}", done, total, what)

        protocol = workspace.protocol
        made = quantise(
            plain,
            images,
            *bits,
            scheme.method,
            seed=protocol.seed,
            steps=2 if protocol.scale == "smoke" else STEPS,
            report=report,
        )
        save(made, path)
    return load_kind(path, Quantised)


def _measured(workspace: Workspace, place: str, name: str, model: DiffPure | Quantised) -> Record:
    points = [Point(), *(Point(level, workspace.protocol.threat.eps) for level in LEVELS)]
    images = workspace.share_of_images(SHARE)
    return workspace.points(place, name, model, workspace.protocol.attack, points, images)


def _grown(workspace: Workspace, plain: DiffPure, copy: Quantised, about: About) -> Record:
    protocol, inner = workspace.protocol, cast(DiffPure, copy.inner)
    images = workspace.test_images
    images = images.take(min(CHAINED, len(images)), protocol.seed)
    x, y = images.batch(torch.arange(len(images)))
    columns: dict[str, Any] = {"index": np.arange(len(images)), "label": y.numpy()}
    lengths = [each for each in LENGTHS if each <= plain.steps]
    for number, steps in enumerate(lengths):
        workspace.report(f"follow {about.name}", number, len(lengths), f"{steps} steps")
        difference, fresh = growth(plain, inner, x, steps, protocol.seed)
        columns[f"{steps}_difference"] = difference[-1].numpy()
        columns[f"{steps}_fresh"] = fresh.norm(dim=0).numpy()
    for step, (apart, alone) in enumerate(zip(difference, fresh, strict=True), 1):
        columns |= {f"after_{step}_difference": apart.numpy(), f"after_{step}_fresh": alone.numpy()}
    own = {
        "lengths": [str(each) for each in lengths],
        "followed": lengths[-1],
        "bits": [copy.weights, copy.activations],
        "method": copy.method,
    }
    where = {"seed": protocol.seed, "batch_size": len(images), "device": "cpu"}
    return Record(header(KIND_CHAINS, about, images, protocol.threat, where, own), columns)


@torch.no_grad()
def growth(
    chain: Chain, quantised: Chain, x: Tensor, steps: int, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """The same noise through two chains of ``steps`` steps.

    Args:
        chain: the float one.
        quantised: its copy of few bits.
        x: images (B,3,H,W) in [0,1].
        steps: of both.
        seed: of the noise.

    Returns:
        After each step, (steps,B) each: the root mean square over pixels of the difference of the
        two chains, and of the fresh error, the difference that the step alone makes of the same z.

    Raises:
        ConfigError: the chain is guided, or shorter in time.
    """
    if chain.guidance or steps > chain.time:
        raise ConfigError(
            f"a {type(chain).__name__} from the time {chain.time} is not followed over {steps} "
            "steps; give diffpure or one-step without guidance, and fewer steps"
        )
    source = seeding.generator(seed, "quantisation chain", steps)
    start = torch.full((len(x),), chain.time, device=x.device)
    z = other = chain.diffusion.noised(x, start, seeding.normal(x.shape, source))
    differences, fresh = [], []
    for t, s in schedule(chain.time, steps):
        noise = seeding.normal(x.shape, source)
        alone = quantised.moved(z, noise, t, s)
        z, other = chain.moved(z, noise, t, s), quantised.moved(other, noise, t, s)
        fresh.append(rms(alone - z))
        differences.append(rms(other - z))
    return torch.stack(differences), torch.stack(fresh)


def rms(x: Tensor) -> Tensor:
    """Root mean square of each image, (B,3,H,W) -> (B,)."""
    size: Tensor = x.flatten(1).norm(dim=1)
    return size / math.sqrt(x[0].numel())

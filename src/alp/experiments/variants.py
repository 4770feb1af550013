"""What trainings of the purifier come to: sigma over the steps, and other widths and constraints.

``sigma``: the paper's figure 2, sigma against training, a line a trial; records of the kind
``training`` (:mod:`alp.records.record`) with sigma, the latent's signal-to-noise ratio and its
bits, without which a sigma says nothing. ``sigma-starts``: the same from other starts of sigma.

``bottleneck``: latents of 16 to 512 channels at equal spatial size (the paper's claim: a wide
latent passes the attack through). ``rate-distortion``: the usual latent as the constraint on the
reconstruction moves. Each variant is trained from scratch, a little shorter than the paper's own
models, with a classifier of its own behind it. Records of the kind ``points``
(:mod:`alp.records.points`), one a variant, clean and under the protocol's attack and radius at two
levels. ``extra`` of the header has ``latent_channels``, ``constraint_db`` (the reconstruction that
the constraint asks for), and, on the evaluated images, ``bits_per_pixel`` (rate of an image over
its pixels), ``bits_per_latent`` and ``latent_snr``.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from alp.data import Images
from alp.defences import Defended
from alp.evaluation import About
from alp.evaluation.grid import Point
from alp.experiments import EXPERIMENTS, trained
from alp.experiments.trained import Variant
from alp.experiments.workspace import Workspace
from alp.records import KIND_TRAINING, Record
from alp.records.record import LAYOUTS
from alp.seeding import recorded
from alp.training.losses import rate
from alp.training.recipes import stage_of
from alp.training.stages import PurifierStage
from alp.training.train import Trained

CURVES = LAYOUTS[KIND_TRAINING].columns


@EXPERIMENTS.register("sigma", order=2, summary="figure 2: sigma against training")
def sigma(workspace: Workspace) -> list[Record]:
    """The curves of the purifiers of all trials, as their trainings kept them."""
    return [_of_trial(workspace, trial) for trial in range(workspace.protocol.trials)]


def _of_trial(workspace: Workspace, trial: int) -> Record:
    # Not the weights that a protocol may give: they have no curve.
    trained = workspace.train(f"purifier-{trial}", "purifier", trial=trial)
    return _curves(workspace, f"purifier-{trial}", trained, trial)


STARTS = (0.1, 0.5, 1.0)
"""Noise levels that a training starts at: the usual one, and one on either side."""


@EXPERIMENTS.register("sigma-starts", order=23, summary="figure 2 from other starts of sigma")
def sigma_starts(workspace: Workspace) -> list[Record]:
    """The curves of one seed from each start."""
    return [_of_start(workspace, start) for start in STARTS]


def _of_start(workspace: Workspace, start: float) -> Record:
    usual = stage_of("purifier", workspace.protocol.scale, PurifierStage)
    stage = replace(usual, purifier=replace(usual.purifier, sigma=start))
    place = "purifier-0" if stage == usual else f"purifier-from-{start:g}"
    return _curves(workspace, place, workspace.train(place, "purifier", stage=stage), 0)


def _curves(workspace: Workspace, place: str, trained: Trained, trial: int) -> Record:
    about = workspace.about("purifier", trained.model, trial)
    return workspace.record(place, about, lambda: _record(workspace, trained, about))


def _record(workspace: Workspace, trained: Trained, about: About) -> Record:
    kept = trained.record
    header = {
        "kind": KIND_TRAINING,
        "item": workspace.item,
        "name": about.name,
        "trial": about.trial,
        "seed": kept["seed"],
        **recorded(),
        "scale": workspace.protocol.scale,
        "steps": kept["steps"],
        "batch_size": kept["settings"]["optim"]["batch_size"],
        "psnr": kept["settings"]["rate"]["psnr"],
        "start": kept["settings"]["purifier"]["sigma"],
        "data": {"name": kept["data"], "split": kept["split"]},
        "data_digest": kept["data_digest"],
        "sigma": trained.model.sigma,  # type: ignore[union-attr]
        "weights": dict(about.weights),
    }
    return Record(header, {name: np.asarray(kept["curve"][name]) for name in CURVES})


WIDTHS = (16, 32, 64, 128, 256, 512)
"""Channels of the latent; 48 hold a 4 x 4 patch of pixels whole."""

CONSTRAINTS = (20.0, 22.0, 24.0, 26.2, 29.0)
"""dB around the usual constraint."""

LEVELS = ("oblivious", "single")
"""What the attacker knows."""

SHARE = 0.2
"""Of the protocol's images."""

_BATCH = 100


@EXPERIMENTS.register("bottleneck", order=9, summary="what latents of 16 to 512 channels let pass")
def bottleneck(workspace: Workspace) -> list[Record]:
    """A variant a width."""
    return [measured(workspace, Variant(channels=width)) for width in workspace.grid(WIDTHS)]


@EXPERIMENTS.register("rate-distortion", order=10, summary="PSNR, bits and accuracy")
def rate_distortion(workspace: Workspace) -> list[Record]:
    """A variant a constraint."""
    return [measured(workspace, Variant(psnr=psnr)) for psnr in workspace.grid(CONSTRAINTS)]


def measured(workspace: Workspace, wanted: Variant) -> Record:
    """A variant's record of points."""
    model = trained.variant(workspace, wanted)
    channels, psnr = trained.settings(workspace, wanted)
    images = workspace.share_of_images(SHARE)
    extra = {"latent_channels": channels, "constraint_db": psnr, **_rate(model, images)}
    points = [Point(), *(Point(level, workspace.protocol.threat.eps) for level in LEVELS)]
    return workspace.points(
        trained.place_of(workspace, wanted),
        f"{channels} channels, {psnr:g} dB",
        model,
        workspace.protocol.attack,
        points,
        images,
        extra=extra,
    )


def _rate(model: Defended, images: Images) -> dict[str, float]:
    """What the latent of a mean image carries."""
    purifier = model.purifier
    nats = power = pixels = values = 0.0
    with torch.no_grad():
        noise = purifier.noise.sigma
        for _, x, _ in images.batches(_BATCH):
            mu = purifier.encode(x)
            nats += float(rate(mu, noise).cpu().double().sum())
            power += float(mu.square().cpu().double().sum())
            pixels += len(x) * x.shape[-2] * x.shape[-1]
            values += mu.numel()
    bits = nats / math.log(2)
    return {
        "bits_per_pixel": bits / pixels,
        "bits_per_latent": bits / values,
        "latent_snr": power / values / float(noise.square().mean()),
    }

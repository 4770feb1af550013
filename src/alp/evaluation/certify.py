"""Certificates of a data set: votes of each image, kept, resumed and written down."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn

from alp.config import within
from alp.defences.checkpoint import weights_digest
from alp.defences.classes import require_same_classes
from alp.defences.lattice import STEPS, to_lattice
from alp.defences.plan import BLOCK, SamplingPlan, State
from alp.defences.smoothed import Smoothed, certify_points
from alp.errors import ConfigError
from alp.records import SCHEMA, Record, read, write
from alp.records.certificates import KIND_CERTIFICATE, require_certificate
from alp.records.parts import FinishedBatches
from alp.records.record import Columns, json_values, versions

if TYPE_CHECKING:
    from alp.data import Images

Progress = Callable[[int, int, int], object]
"""Called with (images that are finished, all images, votes that were cast since)."""


@dataclass(frozen=True)
class CertifyConfig:
    """How certificates are made."""

    plan: SamplingPlan = field(default_factory=SamplingPlan)
    """What is decided, how surely, by how many votes."""
    seed: int = 0
    """Seed of the noise."""
    batch_size: int = 32
    """Images that share a drawn block of noise, and are kept together when they are finished. It
    changes no vote."""

    def __post_init__(self) -> None:
        within(self, 1, 100_000, "batch_size")


def certify(
    target: nn.Module,
    data: Images,
    *,
    sigma: float | None = None,
    radii: tuple[float, ...] = (0.0, 0.25, 0.5),
    alpha: float = 0.001,
    budget: int = 20_000,
    method: Literal["anytime", "fixed"] = "anytime",
    precision: str | None = None,
    seed: int = 0,
    name: str = "",
    resume: str | Path | None = None,
    start: Record | None = None,
    progress: Progress = lambda done, total, votes: None,
) -> Record:
    """Certify the votes of a classifier under Gaussian noise, image by image.

    A certificate says: with probability at least 1 - alpha over the votes, no change of the image
    shorter than the radius (L2) changes the most frequent class. It is one of this base classifier
    in this precision on this kind of processor.

    Args:
        target: a base classifier, images (B,3,H,W) in [0,1] -> logits (B,K), in evaluation mode;
            or a :class:`Smoothed` one.
        data: the images.
        sigma: noise on the pixels; by default that of a smoothed ``target``.
        radii, alpha, budget, method: see :class:`SamplingPlan`.
        precision: float32 or bfloat16; by default that of a smoothed ``target``, or float32.
        name: of the record; by default the class of the target.
        resume: a folder for finished images; the caller deletes it.
        start: an ``anytime`` record of the same settings with a smaller budget, whose open images
            get more votes.
        progress: called after each block of votes.

    Returns:
        A record of the kind ``certificate``.

    Raises:
        ConfigError: the target or a setting cannot be used, no votes within the budget could
            certify a radius, or ``resume`` or ``start`` are of other settings.
    """
    plan = SamplingPlan(tuple(radii), alpha, budget, method)
    smoothed = smoothed_of(target, sigma, precision)
    config = CertifyConfig(plan, seed)
    return run(smoothed, data, config, name=name, resume=resume, start=start, progress=progress)


def smoothed_of(target: nn.Module, sigma: float | None, precision: str | None) -> Smoothed:
    """The smoothed classifier of a target; see :func:`certify`."""
    if isinstance(target, Smoothed):
        wanted = precision or target.precision
        level = target.sigma if sigma is None else sigma
        return Smoothed(target.classifier, level, target.draws, wanted)
    if not isinstance(target, nn.Module):
        raise ConfigError(
            f"the target is a {type(target).__name__}; give a torch module from images to logits"
        )
    if sigma is None:
        raise ConfigError("sigma is missing; give the noise level that the base was trained with")
    return Smoothed(target, sigma, precision=precision or "float32")


def run(
    smoothed: Smoothed,
    data: Images,
    config: CertifyConfig,
    *,
    name: str = "",
    resume: str | Path | None = None,
    start: Record | None = None,
    progress: Progress = lambda done, total, votes: None,
) -> Record:
    """As :func:`certify`, with the settings in one object."""
    if not len(data):
        raise ConfigError(f"the {data.split} split of {data.name} has no images to certify")
    require_same_classes(smoothed, data)
    plan, shape = config.plan, tuple(data.images.shape[1:])
    plan.require_possible(smoothed.sigma, smoothed.error(shape))
    header = header_of(smoothed, data, config, name)
    earlier = _earlier(start, header)
    finished = None
    if resume is not None:
        begun = [] if start is None else [start.header["budget"]]
        finished = FinishedBatches(Path(resume), {**header, "begun": begun})
    parts: list[Columns] = []
    for batch, first in enumerate(range(0, len(data), config.batch_size)):
        rows = range(first, min(first + config.batch_size, len(data)))
        part: Columns | None = finished.load(batch, "certificates") if finished else None
        if part is None:
            points, _ = to_lattice(data.images[rows.start : rows.stop])
            states = certify_points(
                smoothed,
                points,
                plan,
                config.seed,
                earlier[rows.start : rows.stop] if earlier else None,
                lambda votes, done=rows.start: progress(done, len(data), votes),  # type: ignore[misc]
            )
            part = _columns(states, plan)
            if finished:
                finished.save(batch, part, "certificates")
        parts.append(part)
        progress(rows.stop, len(data), 0)
    columns = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    own = {"index": np.arange(len(data)), "label": data.labels.numpy()}
    return Record(header, {**own, **columns})


def certify_into(
    folder: Path,
    name: str,
    smoothed: Smoothed,
    data: Images,
    config: CertifyConfig,
    progress: Progress = lambda done, total, votes: None,
) -> Record:
    """The record ``folder/records/name``: read where it is there, else made and written.

    Called again after a kill, it goes on at the images where it stopped. A finished ``anytime``
    record of a smaller budget is the start of the larger one.

    Raises:
        ConfigError: the settings cannot be used, or the folder holds a record of other settings.
    """
    path, parts = folder / "records" / name, folder / "certificates" / name
    start: Record | None = None
    if path.with_name(f"{name}.json").exists():
        start = read(path)
        require_certificate(start)
        if start.header == header_of(smoothed, data, config, name):
            return start
    record = run(smoothed, data, config, name=name, resume=parts, start=start, progress=progress)
    write(record, path)
    shutil.rmtree(parts)
    return record


def header_of(smoothed: Smoothed, data: Images, config: CertifyConfig, name: str) -> dict[str, Any]:
    """What a record of certificates says of itself; it holds no time of day."""
    plan, shape = config.plan, tuple(data.images.shape[1:])
    return json_values(
        {
            "schema": SCHEMA,
            "kind": KIND_CERTIFICATE,
            "name": name or type(smoothed.classifier).__name__,
            "seed": config.seed,
            "batch_size": config.batch_size,
            "sigma": smoothed.sigma,
            "radii": list(plan.radii),
            "alpha": plan.alpha,
            "budget": plan.budget,
            "method": plan.method,
            "block": BLOCK,
            "lattice": {
                "steps": STEPS,
                "sampler_error": smoothed.error(shape),
                "rounding": smoothed.rounding(shape),
            },
            "shape": list(shape),
            "precision": smoothed.precision,
            "threads": torch.get_num_threads(),
            "device": "cpu",
            "processor": [platform.machine(), torch.backends.cpu.get_cpu_capability()],
            "images": len(data),
            "data": {"name": data.name, "split": data.split, "classes": list(data.classes)},
            "data_digest": data.digest,
            "weights": {"model": weights_digest(smoothed)},
            "versions": versions(),
        }
    )


def _columns(states: list[State], plan: SamplingPlan) -> Columns:
    votes = torch.stack([state.votes for state in states]).numpy()
    stopped = ["settled" if plan.decided(state) else "budget" for state in states]
    return {
        "selected": np.array([state.selected for state in states]),
        "draws": np.array([state.draws for state in states]),
        "radius": np.array([state.radius for state in states]),
        "refuted": np.array([state.refuted for state in states]),
        "stopped": np.array(stopped),
        **{f"votes_{number}": votes[:, number] for number in range(votes.shape[1])},
    }


def _earlier(start: Record | None, header: dict[str, Any]) -> list[State] | None:
    """The states in an earlier record, if it may be given more votes.

    Raises:
        ConfigError: it may not.
    """
    if start is None:
        return None
    require_certificate(start)
    if start.header["method"] == "fixed":
        raise ConfigError(
            "a record of the method 'fixed' settles its votes beforehand and cannot be given more: "
            "its level would no longer hold; certify again with method 'anytime'"
        )
    differs = [key for key in header if key != "budget" and start.header.get(key) != header[key]]
    if differs or start.header["budget"] > header["budget"]:
        raise ConfigError(
            f"the earlier record {start.name!r} differs in "
            f"{', '.join(differs) or 'its budget, which is larger'}; give its settings and a "
            "larger budget, or another folder"
        )
    columns = start.columns
    names = sorted(
        (key for key in columns if key.startswith("votes_")), key=lambda key: int(key[6:])
    )
    votes = torch.from_numpy(np.stack([columns[key] for key in names], axis=1))
    return [
        State(
            int(columns["selected"][row]),
            votes[row],
            float(columns["radius"][row]),
            float(columns["refuted"][row]),
        )
        for row in range(len(start))
    ]

"""Certificates of a data set: votes of each image, kept, resumed and written down."""

from __future__ import annotations

import shutil
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn

from alp import seeding
from alp.config import require_number, within
from alp.data.images import require_data
from alp.defences.checkpoint import weights_digest
from alp.defences.classes import require_same_classes
from alp.defences.lattice import STEPS
from alp.defences.plan import BLOCK, SamplingPlan, State
from alp.defences.smoothed import Smoothed, as_smoothed
from alp.deploy.backends import usable
from alp.deploy.compiled import CompiledClassifier
from alp.errors import ConfigError
from alp.evaluation.crew import Crew
from alp.evaluation.voting import Ballot, Progress, count_all, joined, voted_by
from alp.executors import Note, Workers, on_threads
from alp.executors.processes import Processes
from alp.executors.shares import Share, ShareDone, require_folder
from alp.progress import on_terminal
from alp.records import SCHEMA, Record, read, write
from alp.records.certificates import KIND_CERTIFICATE, require_certificate
from alp.records.parts import FinishedBatches
from alp.records.record import json_values

if TYPE_CHECKING:
    from alp.data import Images
    from alp.deploy.engine import Floats


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
    backend: str | None = None,
    precision: str | None = None,
    calibration: Floats | None = None,
    seed: int = 0,
    batch_size: int = 32,
    name: str = "",
    resume: str | Path | None = None,
    start: Record | None = None,
    processes: int = 1,
    executor: Executor | None = None,
    threads: int | None = None,
    share: str | None = None,
    progress: Progress | None = None,
) -> Record:
    """Certify the votes of a classifier under Gaussian noise, image by image.

    A certificate says: with probability at least 1 - alpha over the votes, no change of the image
    shorter than the radius (L2) changes the most frequent class. It is one of this base classifier
    in this backend and precision, on this number of threads and this kind of processor.

    Args:
        target: a base classifier, images (B,3,H,W) in [0,1] -> logits (B,K), in evaluation mode;
            or a :class:`Smoothed` one.
        data: the images.
        sigma: noise on the pixels; by default that of a smoothed ``target``.
        radii, alpha, budget, method: see :class:`SamplingPlan`.
        backend: what computes the votes, a name of ``alp.deploy.BACKENDS``; by default torch as
            it is (``eager``), or the engine of a smoothed ``target``.
        precision: float32, bfloat16 or int8, as the backend can; by default that of a smoothed
            ``target``, or float32.
        calibration: clean training images (N,3,H,W), float32 in [0,1]: under noise they set the
            ranges of int8.
        batch_size: images that share a drawn block of noise, and are kept together; it changes no
            vote.
        name: of the record; by default the class of the target.
        resume: a folder for finished images; the caller deletes it.
        start: an ``anytime`` record of the same settings with a smaller budget, whose open images
            get more votes.
        processes: how many vote at once, each on batches of its own.
        executor: runs the batches in their place: any ``concurrent.futures.Executor``. It is left
            open.
        threads: processor threads of each worker, part of what is certified; by default those of
            torch in one process, and 1 each in several and with an ``executor``.
        share: ``K/N``: vote on this share of the batches into the ``resume`` folder, and no more.
        progress: called after each block of votes, or of several processes after each batch; by
            default a bar on stderr where that is a terminal.

    Returns:
        A record of the kind ``certificate``.

    Raises:
        UnknownNameError: there is no such backend.
        ConfigError: the target or a setting cannot be used, no votes within the budget could
            certify a radius, or ``resume`` or ``start`` are of other settings.
        ShareDone: the share is done; a call without ``share`` gives the record.
        AlpError: what the backend needs is not installed, or it cannot compile the target.
    """
    require_data(data)
    plan = SamplingPlan(tuple(radii), alpha, budget, method)
    size = (data.images.shape[2], data.images.shape[3])
    require_number("processes", processes, 1, whole=True)
    crew = voters(processes, threads, executor=executor)
    smoothed = smoothed_of(target, sigma, precision, backend, size, crew.size, calibration)
    with on_terminal(None) as show:
        return run(
            smoothed,
            data,
            CertifyConfig(plan, seed, batch_size),
            name=name,
            resume=resume,
            start=start,
            crew=crew,
            share=Share.of(share, {}),
            progress=progress or (lambda done, total, votes: show("certify", done, total)),
        )


def voters(
    count: int,
    threads: int | None,
    workers: Workers | None = None,
    executor: Executor | None = None,
) -> Crew:
    """Who votes: several have one thread each where nobody says a number."""
    if threads is None and count > 1:
        threads = 1
    return Crew(executor, count, threads, workers or Processes())


def smoothed_of(
    target: nn.Module,
    sigma: float | None,
    precision: str | None = None,
    backend: str | None = None,
    size: tuple[int, int] = (32, 32),
    threads: int = 1,
    calibration: Floats | None = None,
) -> Smoothed:
    """The smoothed classifier of a target, whose votes the backend computes for images of
    ``size``; see :func:`certify`."""
    usable(backend or "eager", precision or "float32")
    if backend in (None, "eager"):
        if backend and not precision:  # in torch, whatever computed the votes before
            precision = as_smoothed(target, sigma).precision
        return as_smoothed(target, sigma, precision)
    plain = as_smoothed(target, sigma)
    ranges = None if calibration is None else _noisy(calibration, plain.sigma)
    engine = CompiledClassifier(
        plain.classifier, backend, precision or plain.precision, size, threads, ranges
    )
    return Smoothed(plain.classifier, plain.sigma, plain.draws, plain.precision, engine)


def run(
    smoothed: Smoothed,
    data: Images,
    config: CertifyConfig,
    *,
    name: str = "",
    resume: str | Path | None = None,
    start: Record | None = None,
    crew: Crew | None = None,
    share: Share | None = None,
    progress: Progress = lambda done, total, votes: None,
    note: Note = lambda text: None,
) -> Record:
    """As :func:`certify`, with the settings in one object.

    Args:
        crew: who votes; by default this process.
        share: which of the batches are voted on.
        note: told in a sentence when a worker died.
    """
    require_data(data)
    require_same_classes(smoothed, data)
    require_folder(share, resume)
    crew = crew or Crew()
    with on_threads(crew.size):
        plan, shape = config.plan, tuple(data.images.shape[1:])
        plan.require_possible(smoothed.sigma, smoothed.error(shape))
        header = header_of(smoothed, data, config, name)
        earlier = _earlier(start, header)
        finished = None
        if resume is not None:
            begun = [] if start is None else [start.header["budget"]]
            finished = FinishedBatches(Path(resume), {**header, "begun": begun})
        ballot = Ballot(smoothed, data, plan, config.seed, config.batch_size, earlier)
        parts = count_all(ballot, finished, crew, share, progress, note)
        if share is not None and finished is not None:
            left = len(ballot) - len(set(finished.names().values()))
            raise ShareDone.of(share, header["name"], len(parts), len(ballot), left)
        # a copy: torch moves tensors that it sends to a process, and views of them are lost
        own = {"index": np.arange(len(data)), "label": data.labels.numpy().copy()}
        return Record(header, {**own, **joined(parts)})


def certify_into(
    folder: Path,
    name: str,
    smoothed: Smoothed,
    data: Images,
    config: CertifyConfig,
    progress: Progress = lambda done, total, votes: None,
    *,
    crew: Crew | None = None,
    share: Share | None = None,
    note: Note = lambda text: None,
) -> Record:
    """The record ``folder/records/name``: read where it is there, else made and written.

    Called again after a kill, it goes on at the images where it stopped. A finished ``anytime``
    record of a smaller budget is the start of the larger one.

    Raises:
        ConfigError: the settings cannot be used, or the folder holds a record of other settings.
        ShareDone: the share is done, and there is no record yet.
    """
    crew = crew or Crew()
    path, parts = folder / "records" / name, folder / "certificates" / name
    start: Record | None = None
    if path.with_name(f"{name}.json").exists():
        start = read(path)
        require_certificate(start)
        with on_threads(crew.size):
            if start.header == header_of(smoothed, data, config, name):
                return start
    record = run(
        smoothed,
        data,
        config,
        name=name,
        resume=parts,
        start=start,
        crew=crew,
        share=share,
        progress=progress,
        note=note,
    )
    write(record, path)
    shutil.rmtree(parts)
    return record


def header_of(smoothed: Smoothed, data: Images, config: CertifyConfig, name: str) -> dict[str, Any]:
    """What a record of certificates says of itself; it holds no time of day."""
    plan, shape = config.plan, tuple(data.images.shape[1:])
    computed = voted_by(smoothed)
    made_by = computed.pop("versions")
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
            **computed,
            "images": len(data),
            "data": {"name": data.name, "split": data.split, "classes": list(data.classes)},
            "data_digest": data.digest,
            "weights": {"model": weights_digest(smoothed)},
            "versions": made_by,
        }
    )


def _noisy(calibration: Floats, sigma: float) -> Floats:
    """What the base will see of these images; the same at each call."""
    source = seeding.generator(0, "noise on calibration images")
    noise = sigma * seeding.normal(calibration.shape, source)
    noisy: Floats = (torch.from_numpy(calibration) + noise).numpy()
    return noisy


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
    earlier = {"backend": "eager", **start.header}  # older records do not name it
    keys = [key for key in dict.fromkeys((*header, *earlier)) if key != "budget"]
    differs = [key for key in keys if earlier.get(key) != header.get(key)]
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

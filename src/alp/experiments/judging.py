"""A model and an attacking panel in, a verdict record out.

A model and the terms of an evaluation in, a record out.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch

from alp.attacks import Attack, Threat
from alp.bench.latency import profile
from alp.config import EngineConfig
from alp.data import Images
from alp.defences.base import Defence
from alp.defences.checkpoint import weights_digest
from alp.errors import ConfigError, RecordError
from alp.evaluation import About, Share, evaluate, evaluate_protocol
from alp.evaluation.header import robustness_header
from alp.executors import is_first_process
from alp.files import read_json, write_json
from alp.records import Record, read, write

BATCH = 100
"""Images that are evaluated at a time."""

_MAY_DIFFER = ("versions", "latency", "device", "item")
"""What changes no result; records were made before they named their experiment."""


class Terms(Protocol):
    """What makes two evaluations comparable."""

    @property
    def threat(self) -> Threat: ...
    @property
    def attack(self) -> Attack: ...
    @property
    def knowledge(self) -> Sequence[str]: ...
    @property
    def seed(self) -> int: ...


def evaluate_model(
    model: Defence,
    images: Images,
    terms: Terms,
    folder: Path,
    place: str,
    *,
    name: str,
    trial: int = 0,
    item: str = "",
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Record:
    """Evaluate ``model`` into ``folder/records/place``; done only once.

    Killed and called again it resumes at the batch where it stopped; a finished record is read.
    Of several processes the first evaluates and the others wait.

    Args:
        name: the row of the table; trials share it.
        item: the experiment that the record belongs to, if any.
        device: where the model runs.
        progress: called after each batch with (finished images, all images).

    Raises:
        ConfigError: ``terms`` cannot be used.
        RecordError: the record is damaged, or of another model or other terms.
    """
    path, batches = folder / "records" / place, folder / "batches" / place
    about = About(
        name=name,
        trial=trial,
        draws=model.draws,
        sigma=model.sigma,
        weights={"model": weights_digest(model)},
        item=item,
    )
    conditions = (terms.threat, terms.attack, terms.knowledge)
    if is_first_process() and not path.with_name(f"{place}.json").exists():
        here = deepcopy(model).to(device)
        timed = folder / "latency" / f"{place}.json"
        if not timed.exists():  # kept: time is the one thing that a repetition does not repeat
            write_json(timed, profile(here, images.batch(torch.arange(1))[0].to(device)))
        record = evaluate_protocol(
            here,
            images,
            *conditions,
            about=replace(about, latency=read_json(timed, RecordError)),
            seed=terms.seed,
            batch_size=BATCH,
            device=device,
            progress=progress,
            resume=batches,
        )
        write(record, path)
        shutil.rmtree(batches)
    # The others of several processes waited for the record.
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
    header = robustness_header(about, images, *conditions, terms.seed, BATCH, device)
    record = read(path)
    require_terms(path, record, header)
    return record


def require_terms(path: Path, record: Record, expected: dict[str, Any]) -> None:
    """Raise a RecordError unless the header of the record at ``path`` says what ``expected``
    does."""
    for key, value in expected.items():
        found = record.header.get(key)
        if found != value and key not in _MAY_DIFFER:
            raise RecordError(
                f"{path}.json has {key} {found!r}, this evaluation {value!r}; "
                "give another folder, or delete the record to measure again"
            )


def device_of(accelerator: str) -> str:
    """The device of an accelerator's name; ``auto`` is the GPU where there is one.

    Raises:
        ConfigError: this machine has no such device.
    """
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    devices = [*(name for name, there in here.items() if there), "cpu"]
    if accelerator in ("auto", "gpu"):
        return devices[0]
    if accelerator not in devices:
        valid = ", ".join(["auto", *devices])
        raise ConfigError(f"this machine has no device {accelerator!r}; give one of: {valid}")
    return accelerator


@dataclass(frozen=True)
class Panel:
    """Who attacks, and where: what makes two verdicts comparable."""

    suite: str
    """quick, standard or full."""
    threat: Threat
    """The ball of the attackers."""
    surrogates: Mapping[str, Defence] = field(default_factory=dict)
    """Name to other models, whose adversarial images are tried."""
    attack_precision: str = "float32"
    """What the attackers compute in: float32 or bfloat16."""
    seed: int = 0
    """Seed of attacks and draws."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    processes: int = 1
    """Processes that share out the batches."""


@dataclass(frozen=True)
class Deployment:
    """How a model is deployed where it is not called as it is."""

    words: str
    """For the record, such as ``sequential consensus of at most 20 draws``."""
    build: Callable[[Defence], Defence]
    """Makes what is evaluated of a defended model on its device."""


def judge_model(
    model: Defence,
    images: Images,
    panel: Panel,
    folder: Path,
    name: str,
    progress: Callable[[str, float, float], None] = lambda what, done, total: None,
    trial: int = 0,
    *,
    deployment: Deployment | None = None,
    place: str = "",
    item: str = "",
) -> Record:
    """Evaluate ``model`` by the panel's suite into ``folder/records/name``; done only once.

    Killed and called again it resumes at the attack and batch where it stopped; a finished record
    is read.

    Args:
        name: the row of a table, and the record's file unless ``place`` names another.
        item: the experiment that the record belongs to, if any.
        progress: called with (what is being done, seconds of work done, seconds of all work).
        deployment: how it is deployed where it is not called as it is.

    Raises:
        ConfigError: the panel cannot be used.
        RecordError: the record is damaged, or of another model or another panel.
        AlpError: the suite needs a library that is not installed.
    """
    place = place or name
    path, parts = folder / "records" / place, folder / "parts" / place
    digests = {f"surrogate {key}": weights_digest(each) for key, each in panel.surrogates.items()}
    about = About(
        name=name,
        trial=trial,
        draws=model.draws,
        sigma=model.sigma,
        weights={"model": weights_digest(model), **digests},
        extra={"deployed": deployment.words} if deployment else {},
        item=item,
    )
    if not path.with_name(f"{place}.json").exists():
        share = _share(panel)
        device = device_of(panel.device)
        target = deepcopy(model).to(device)
        if deployment:
            target = deployment.build(target)
        record = evaluate(
            target,
            images,
            panel.threat,
            panel.suite,
            surrogates={key: deepcopy(each).to(device) for key, each in panel.surrogates.items()},
            about=about,
            attack_precision=panel.attack_precision,
            seed=panel.seed,
            device=device,
            progress=progress,
            resume=parts,
            share=share,
        )
        share.wait()  # until all have read the parts of the others
        if share.rank == 0:
            write(record, path)
            shutil.rmtree(parts)
        share.wait()
    record = read(path)
    require_terms(
        path,
        record,
        {
            "suite": panel.suite,
            "attack_precision": panel.attack_precision,
            "seed": panel.seed,
            "weights": dict(about.weights),
            "draws": about.draws,
            "extra": dict(about.extra),
            "data_digest": images.digest,
            "threat": {"name": record.header["threat"]["name"], "eps": panel.threat.eps},
        },
    )
    return record


def _share(panel: Panel) -> Share:
    """This process's share of the work; the training engine starts the others."""
    if panel.processes == 1:
        return Share()
    from alp.training.engine import build_engine, limit_threads

    engine = EngineConfig(panel.device, panel.processes, "32-true")
    limit_threads(engine)
    fabric = build_engine(engine)
    return Share(fabric.global_rank, fabric.world_size, fabric.barrier)

"""A model and an attacking panel in, a verdict record out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alp.attacks import Threat
from alp.config import EngineConfig
from alp.data import Images
from alp.evaluation import About, Share, evaluate
from alp.evaluation.records import Record, read, write
from alp.models import Defended
from alp.models.checkpoint import Model, weights_digest
from alp.workflows.evaluating import (
    device_of,
    draws_of,
    require_classifier,
    require_terms,
    sigma_of,
)


@dataclass(frozen=True)
class Panel:
    """Who attacks, and where: what makes two verdicts comparable."""

    suite: str
    """quick, standard or full."""
    threat: Threat
    """The ball of the attackers."""
    surrogates: Mapping[str, Model] = field(default_factory=dict)
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
    build: Callable[[Defended], Any]
    """Makes what is evaluated of a defended model on its device."""


def judge_model(
    model: Model,
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
        deployment: how it is deployed; of a model without a purifier it changes nothing.

    Raises:
        ConfigError: the model is no classifier, or the panel cannot be used.
        RecordError: the record is damaged, or of another model or another panel.
        AlpError: the suite needs a library that is not installed.
    """
    require_classifier(model, name)
    place = place or name
    path, parts = folder / "records" / place, folder / "parts" / place
    digests = {f"surrogate {key}": weights_digest(each) for key, each in panel.surrogates.items()}
    about = About(
        name=name,
        trial=trial,
        draws=draws_of(model),
        sigma=sigma_of(model),
        weights={"model": weights_digest(model), **digests},
        extra={"deployed": deployment.words} if isinstance(model, Defended) and deployment else {},
        item=item,
    )
    if not path.with_name(f"{place}.json").exists():
        share = _share(panel)
        device = device_of(panel.device)
        target: Any = deepcopy(model).to(device)
        if isinstance(target, Defended) and deployment:
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

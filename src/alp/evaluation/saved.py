"""Evaluations that are made once: resumed where they stopped, read where they are finished."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alp.defences.base import DEFENCES, Defence, Model
from alp.defences.checkpoint import weights_digest
from alp.errors import RecordError
from alp.evaluation.adaptive import Adaptive
from alp.evaluation.config import EvalConfig
from alp.evaluation.crew import Crew
from alp.evaluation.evaluator import run
from alp.evaluation.header import About
from alp.evaluation.protocol import PaperProtocol
from alp.evaluation.queries import Queries
from alp.evaluation.schedule import Progress
from alp.evaluation.suites import Suite
from alp.executors import Note
from alp.executors.shares import Share
from alp.files import read_json, write_json
from alp.records import Record
from alp.records.parts import made_once

if TYPE_CHECKING:
    from alp.data import Images


def about(
    model: Model,
    name: str,
    *,
    trial: int = 0,
    item: str = "",
    surrogates: Mapping[str, Model] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> About:
    """What a record says of ``model``: the row ``name``, its weights and those of its surrogates,
    draws and noise level.

    Args:
        trial: number of the trial; trials of one row share its name.
        item: the experiment that the record belongs to, if any.
        extra: anything else worth keeping.
    """
    digests = {f"surrogate {key}": weights_digest(each) for key, each in (surrogates or {}).items()}
    return About(
        name=name,
        trial=trial,
        draws=model.draws,
        sigma=model.sigma,
        weights={"model": weights_digest(model), **digests},
        extra=extra or {},
        item=item,
        defence=_described(model),
    )


def _described(model: Model) -> dict[str, Any]:
    """What a registered defence is, for the leaderboard; empty of anything else."""
    if not model.classifies or (kind := DEFENCES.name_of(type(model))) is None:
        return {}
    parameters = sum(each.numel() for each in model.parameters())
    return {"kind": kind, "settings": model.settings, "parameters": parameters}


def evaluate_into(
    folder: Path,
    place: str,
    model: Defence,
    images: Images,
    config: EvalConfig,
    told: About,
    *,
    surrogates: Mapping[str, Defence] | None = None,
    deploy: Callable[[Defence], Defence] | None = None,
    profile: Callable[[Defence], dict[str, Any]] | None = None,
    crew: Crew | None = None,
    share: Share | None = None,
    progress: Progress = lambda what, done, total: None,
    note: Note = lambda text: None,
) -> Record:
    """Evaluate ``model`` into ``folder/records/place``; done only once.

    Killed and called again it resumes at the task and batch where it stopped; a finished record
    is read. Of several processes the first evaluates and the others wait.

    Args:
        told: what the record says of the model.
        deploy: how the model is deployed where it is not called as it is.
        profile: measures the latency, which the record keeps; measured once.
        crew: what does the units; by default this process.
        share: which of the units are done.

    Raises:
        ConfigError: the configuration cannot be used.
        RecordError: the record is damaged, or of another model or configuration.
        ShareDone: the share is done, and there is no record yet.
        AlpError: the suite needs a library that is not installed.
    """
    parts = folder / "parts" / place

    def make() -> Record:
        here = deepcopy(model).to(config.device)
        latency: dict[str, Any] = {}
        if profile:
            timed = folder / "latency" / f"{place}.json"
            if not timed.exists():  # time is the one thing that a repetition does not repeat
                write_json(timed, profile(here))
            latency = read_json(timed, RecordError)
        others = {key: deepcopy(each).to(config.device) for key, each in (surrogates or {}).items()}
        return run(
            here,
            images,
            config,
            deploy=deploy,
            surrogates=others,
            about=replace(told, latency=latency),
            progress=progress,
            resume=parts,
            crew=crew,
            share=share,
            note=note,
        )

    expected = {
        "seed": config.seed,
        "batch_size": config.batch_size,
        "weights": dict(told.weights),
        "draws": told.draws if config.draws is None else config.draws,
        "sigma": told.sigma,
        "extra": dict(told.extra),
        "data_digest": images.digest,
        **({"defence": dict(told.defence)} if told.defence else {}),
        **_identity(config),
    }
    record = made_once(folder / "records" / place, make, expected)
    shutil.rmtree(parts, ignore_errors=True)
    return record


def _identity(config: EvalConfig) -> dict[str, Any]:
    """The keys of a header by which a finished record is known to be of this configuration."""
    suite = config.plan
    if isinstance(suite, str | Suite | Queries):
        name = suite if isinstance(suite, str) else suite.name
        ball = {"name": config.norm, "eps": config.threat.eps}
        found: dict[str, Any] = {"suite": name, "threat": ball}
        found["attack_precision"] = config.attack_precision
        if isinstance(suite, Suite):  # a suite of one's own: its name does not say what it does
            own = Adaptive(suite).own(config.threat, [], config.attack_precision)
            found |= {key: own[key] for key in ("entries", "evaluations", "probes")}
        if isinstance(suite, Queries):
            found["queries"] = suite.queries
            if suite.attackers:  # chosen ones; of all that are apt the name and the budget tell
                own = suite.own(config.threat, [], config.attack_precision)
                found["attackers"] = own["attackers"]
        return found | ({"surrogate": config.surrogate} if config.surrogate else {})
    own = suite.own(config.threat, [], config.attack_precision)
    keys = ("attack", "knowledge") if isinstance(suite, PaperProtocol) else ("attack", "points")
    return {key: own[key] for key in keys}

"""A model and the terms of an evaluation in, a record out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch

from alp.attacks import Attack, Threat
from alp.data import Images
from alp.errors import ConfigError, RecordError
from alp.evaluation import About, evaluate_protocol, profile
from alp.evaluation.header import robustness_header
from alp.evaluation.records import Record, read, write
from alp.evaluation.subjects import subject_of
from alp.files import read_json, write_json
from alp.models import Defended, InputNoise, Purifier
from alp.models.checkpoint import Model, weights_digest
from alp.training.processes import is_first_process

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
    model: Model,
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
        ConfigError: the model is no classifier, or ``terms`` cannot be used.
        RecordError: the record is damaged, or of another model or other terms.
    """
    require_classifier(model, name)
    path, batches = folder / "records" / place, folder / "batches" / place
    about = About(
        name=name,
        trial=trial,
        draws=draws_of(model),
        sigma=sigma_of(model),
        weights={"model": weights_digest(model)},
        item=item,
    )
    conditions = (terms.threat, terms.attack, terms.knowledge)
    if is_first_process() and not path.with_name(f"{place}.json").exists():
        subject = subject_of(deepcopy(model).to(device))
        timed = folder / "latency" / f"{place}.json"
        if not timed.exists():  # kept: time is the one thing that a repetition does not repeat
            write_json(timed, profile(subject, images.batch(torch.arange(1))[0].to(device)))
        record = evaluate_protocol(
            subject,
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


def require_classifier(model: Model, name: str) -> None:
    """Raise a ConfigError if ``model``, called ``name``, classifies nothing."""
    if isinstance(model, Purifier):
        raise ConfigError(
            f"{name} is a purifier alone, which classifies nothing; give a classifier, or train "
            "one behind it with 'alp train standard-purified'"
        )


def draws_of(model: Model) -> int:
    """Draws of the deployed prediction; 1 where it draws nothing."""
    return model.draws if isinstance(model, Defended | InputNoise) else 1


def sigma_of(model: Model) -> float | None:
    """The noise level: of the latent, or of the pixels; None where there is none."""
    if isinstance(model, Purifier | InputNoise):
        return model.sigma
    return model.purifier.sigma if isinstance(model, Defended) else None


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

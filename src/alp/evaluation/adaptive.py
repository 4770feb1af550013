"""The evaluation of any target, random or not, by attackers of every level of knowledge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from alp import seeding
from alp.attacks import Threat
from alp.attacks.base import require_count
from alp.errors import ConfigError, choose
from alp.evaluation.checks import CHECKS
from alp.evaluation.header import About, verdict_header
from alp.evaluation.knowledge import Subject
from alp.evaluation.precision import ATTACK_PRECISIONS
from alp.evaluation.records import Record
from alp.evaluation.resume import finished_batches
from alp.evaluation.running import Meter, Progress, Share, run_all
from alp.evaluation.subjects import is_repeatable, subject_of
from alp.evaluation.suites import Suite, suite_for
from alp.evaluation.units import Bench, CheckUnit, CleanUnit, EntryUnit, Unit
from alp.evaluation.work import rates

if TYPE_CHECKING:
    from alp.data import Images

BATCH = 64
"""Images that are attacked at a time."""


def evaluate(
    target: Any,
    data: Images,
    threat: Threat,
    suite: str | Suite = "quick",
    *,
    surrogates: Mapping[str, Any] | None = None,
    draws: int | None = None,
    about: About | None = None,
    attack_precision: str = "float32",
    seed: int = 0,
    batch_size: int = BATCH,
    device: torch.device | str = "cpu",
    progress: Progress = lambda what, done, total: None,
    resume: str | Path | None = None,
    share: Share | None = None,
) -> Record:
    """Attack ``target`` at every level of knowledge that it has, and check the attacks.

    For each image and entry of the suite the attacked image is predicted R times on draws that
    select, and R times on fresh ones that judge. The worst case takes for each image the candidate
    (the clean image is one) that is least often right on the first, and counts how often it is
    right on the second: the lowest of several noisy scores would flatter the attacker. The
    randomness of a batch is a function of ``seed``, the purpose and the batch's number, so that
    with a ``resume`` folder a killed evaluation, called again, gives the bit-identical record.

    Args:
        target: any callable from images (B,3,H,W) in [0,1] to logits (B,K), random or not; one
            with ``encode`` and ``decode_classify`` gets the gradient that shares the encoder.
        data: the images to attack.
        threat: what the attacker may change.
        suite: ``quick``, ``standard``, ``full``, or a suite of one's own.
        surrogates: name to other targets, whose adversarial images are tried on this one.
        draws: answers that the deployed prediction averages; by default as the target says.
        about: what the record has to say beyond what can be seen.
        attack_precision: ``float32``, or ``bfloat16`` for attackers who compute in it: twice as
            fast where the processor multiplies it. What is judged is never rounded.
        batch_size: images that are attacked at a time.
        resume: a folder for finished parts; it is left for the caller to delete. Needs the
            digests of the weights in ``about``, and ``share`` needs it.

    Returns:
        A record of the kind ``verdict``; :func:`alp.evaluation.records.conclude` makes accuracies
        of it. Columns, one row an image: ``index``, ``label``, ``psnr`` (dB) and ``ssim`` of one
        purified draw, ``clean_select`` and ``clean_fresh`` (how many of R predictions are right),
        for each entry ``<entry>_attacked`` (whether it was: an image that is wrong already is
        not), ``<entry>_select``, ``<entry>_fresh`` (-1 where nothing was predicted: the attack did
        no better than the clean image) and ``<entry>_distance``, and the numbers of the checks,
        ``<check>_<number>``, NaN beyond the images that they looked at.

    Raises:
        UnknownNameError: no such suite or precision.
        ConfigError: no images, a target or a setting that cannot be used, an attack that leaves
            the threat, or a resume folder of another evaluation.
        AlpError: the suite needs a library that is not installed.
    """
    if not len(data):
        raise ConfigError(f"the {data.split} split of {data.name} has no images to evaluate on")
    require_count("batch_size", batch_size)
    x, y = (each.to(device) for each in data.batch(torch.arange(min(batch_size, len(data)))))
    seen = choose(ATTACK_PRECISIONS, attack_precision, "attack precision")
    subject = seen(subject_of(target, x, draws))
    others = {name: seen(subject_of(each, x)) for name, each in (surrogates or {}).items()}
    if isinstance(suite, str):
        norm, classes = type(threat).__name__.lower(), _classes(subject, x[:_FEW])
        suite = suite_for(suite, norm, subject, others, classes)
    _require_surrogates(suite, others)
    about = replace(about or About(type(target).__name__), draws=subject.draws)
    header = verdict_header(
        about,
        data,
        threat,
        suite,
        seed,
        batch_size,
        str(torch.device(device)),
        surrogates=list(others),
        attack_precision=attack_precision,
    )
    finished = finished_batches(resume, header)
    share = share or Share()
    if share.world > 1 and finished is None:
        raise ConfigError("several processes meet in a resume folder; give one")
    units = _units(Bench(subject, others, threat, suite, seed))
    own = [sum(len(rows) for _, rows in share.batches(unit, data, batch_size)) for unit in units]
    meter = Meter(units, rates(subject, x, y), own, progress)
    columns = run_all(units, data, batch_size, device, finished, share, meter)
    findings = [unit.conclude(columns, suite) for unit in units if isinstance(unit, CheckUnit)]
    warnings = [] if is_repeatable(subject, x[:_FEW]) else [_UNREPEATABLE]
    return Record({**header, "checks": findings, "warnings": warnings}, columns)


_FEW = 4  # images are enough to see what a target answers

_UNREPEATABLE = (
    "the target draws from a source of its own, which nobody can seed: the numbers cannot be "
    "repeated, and its bank of known draws is not known"
)


def _classes(subject: Subject, x: torch.Tensor) -> int:
    with torch.no_grad():
        return subject.predict(x, seeding.generator(0, "classes", device=x.device)).shape[-1]


def _require_surrogates(suite: Suite, others: Mapping[str, Any]) -> None:
    for entry in suite.entries:
        if entry.level == "transfer" and entry.surrogate not in others:
            given = ", ".join(others) or "none"
            raise ConfigError(
                f"the entry {entry.name!r} attacks the surrogate {entry.surrogate!r}; give it in "
                f"surrogates (there: {given})"
            )


def _units(bench: Bench) -> list[Unit]:
    """Everything there is to do, in order; a closing entry comes after all that it looks at."""
    opening = [EntryUnit(bench, entry) for entry in bench.suite.opening]
    closing = [
        EntryUnit(bench, entry, after=1 + len(opening) + number)
        for number, entry in enumerate(bench.suite.closing)
    ]
    checks = [
        CheckUnit(bench, check)
        for check in CHECKS.values()
        if bench.suite.probes.images and check.applies(bench.suite, bench.subject)
    ]
    return [CleanUnit(bench), *opening, *closing, *checks]

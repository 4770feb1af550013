"""The evaluation of any target, random or not, by attackers of every level of knowledge.

What weakens a result, found in the result itself: the warnings of a record.

How long an evaluation will take, from how long one call takes here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from alp import seeding
from alp.attacks import LOSSES, Threat, input_gradient
from alp.attacks.base import require_count
from alp.defences.adapters import HalfPrecision, as_defence, is_repeatable
from alp.errors import ConfigError, choose
from alp.evaluation.checks import CHECKS
from alp.evaluation.header import About, verdict_header
from alp.evaluation.knowledge import ATTACK_PRECISIONS
from alp.evaluation.running import Meter, Progress, Share, run_all
from alp.evaluation.suites import Suite, suite_for
from alp.evaluation.tasks import Bench, CheckUnit, CleanUnit, EntryUnit, Unit
from alp.evaluation.verdict import NOT_A_CLASS
from alp.records import Columns, Record
from alp.records.parts import finished_batches
from alp.records.statistics import wilson

if TYPE_CHECKING:
    from alp.data import Images
    from alp.defences.base import Defence


FEW_IMAGES = 500
"""Below this many images an interval may be wider than 8.8 points."""


def caveats(columns: Columns, levels: Sequence[str]) -> list[str]:
    """The warnings of a robustness record with these columns, as sentences."""
    images = len(columns["label"])
    found = []
    if images < FEW_IMAGES:
        low, high = wilson(images / 2, images)
        found.append(
            f"{images} images < {FEW_IMAGES}: the interval is wide, up to "
            f"{100 * (high - low):.1f} points"
        )
    for level in levels:
        blind = int(columns[f"{level}_zero_gradient"].sum())
        if blind:
            found.append(
                f"the gradient seen by `{level}` is zero for {100 * blind / images:.1f} % of the "
                "images: there the attack is blind, and its failure shows no robustness"
            )
    for point in ("clean", *levels):
        broken = int((columns[f"{point}_prediction"] == NOT_A_CLASS).sum())
        if broken:
            found.append(
                f"{broken} predictions on {point} images are not finite; they count as wrong"
            )
    return found


_DRAWS = 4
_IMAGES = 32


def rates(defence: Defence, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Seconds that a draw of an image takes, with a gradient and without one."""
    draws = _DRAWS if defence.stochastic else 1
    x, y = x[:_IMAGES], y[:_IMAGES]
    source = seeding.generator(0, "rates", device=x.device)

    def answer(images: Tensor) -> Tensor:
        return defence.logits(images, source, draws)

    with torch.no_grad():
        answer(x)  # the first call of a shape is slower
        start = perf_counter()
        answer(x)
        without = perf_counter() - start
    start = perf_counter()
    input_gradient(answer, x, y, LOSSES["ce"])
    with_gradient = perf_counter() - start
    return with_gradient / (draws * len(x)), without / (draws * len(x))


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
        target: a defence, or any callable from images (B,3,H,W) in [0,1] to logits (B,K),
            random or not.
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
        A record of the kind ``verdict``; :func:`alp.records.conclude` makes accuracies
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
    choose(dict.fromkeys(ATTACK_PRECISIONS), attack_precision, "attack precision")

    def seen(target: Any, draws: int | None = None) -> Defence:
        """A target as attackers of this precision see it."""
        defence = as_defence(target, x, draws)
        return HalfPrecision(defence) if attack_precision == "bfloat16" else defence

    defence = seen(target, draws)
    others = {name: seen(each) for name, each in (surrogates or {}).items()}
    if isinstance(suite, str):
        norm, classes = type(threat).__name__.lower(), _classes(defence, x[:_FEW])
        suite = suite_for(suite, norm, defence, others, classes)
    _require_surrogates(suite, others)
    about = replace(about or About(type(target).__name__), draws=defence.draws)
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
    units = _units(Bench(defence, others, threat, suite, seed))
    own = [sum(len(rows) for _, rows in share.batches(unit, data, batch_size)) for unit in units]
    meter = Meter(units, rates(defence, x, y), own, progress)
    columns = run_all(units, data, batch_size, device, finished, share, meter)
    findings = [unit.conclude(columns, suite) for unit in units if isinstance(unit, CheckUnit)]
    warnings = [] if is_repeatable(defence, x[:_FEW]) else [_UNREPEATABLE]
    return Record({**header, "checks": findings, "warnings": warnings}, columns)


_FEW = 4  # images are enough to see what a target answers

_UNREPEATABLE = (
    "the target draws from a source of its own, which nobody can seed: the numbers cannot be "
    "repeated, and its bank of known draws is not known"
)


def _classes(defence: Defence, x: torch.Tensor) -> int:
    with torch.no_grad():
        return int(defence(x, seeding.generator(0, "classes", device=x.device)).shape[-1])


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
        if bench.suite.probes.images and check.applies(bench.suite, bench.defence)
    ]
    return [CleanUnit(bench), *opening, *closing, *checks]

"""The evaluation of any target, random or not, by attackers of every level of knowledge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from alp import seeding
from alp.attacks import Threat, resumable
from alp.data import loaded as data_loaded
from alp.data.images import Images, require_data
from alp.defences.adapters import (
    DeclaredSurrogate,
    HalfPrecision,
    Logarithm,
    are_probabilities,
    as_defence,
    shares_draws,
)
from alp.defences.classes import require_same_classes
from alp.defences.inspection import Unchanged
from alp.defences.memory import keep_at_most
from alp.defences.packaged import loaded
from alp.defences.sending import reference
from alp.errors import ConfigError
from alp.evaluation.adaptive import Adaptive
from alp.evaluation.config import EvalConfig
from alp.evaluation.crew import Crew
from alp.evaluation.grid import Grid
from alp.evaluation.header import About, header
from alp.evaluation.probe import Probe, computed_by, probed, require_same_numbers, rows_kept
from alp.evaluation.protocol import PaperProtocol
from alp.evaluation.queries import Queries
from alp.evaluation.schedule import (
    Progress,
    Tracker,
    Unit,
    begun_here,
    joined,
    kept_here,
    missing,
    run_tasks,
    share_of,
    units,
)
from alp.evaluation.suites import Suite
from alp.evaluation.tasks import Context, Part, Task
from alp.executors import Note, device_of, on_threads
from alp.executors.shares import Share, ShareDone, require_folder
from alp.progress import on_terminal
from alp.records import Record
from alp.records.parts import FinishedBatches, finished_batches
from alp.records.record import versions

if TYPE_CHECKING:
    from alp.defences.base import Defence

_FEW = 4
"""Images that are enough to see what a target answers."""

_PROBABILITIES = (
    "the target answers probabilities (rows in [0,1] that sum to one), through which attacks on "
    "logits see small gradients: give its logits, or outputs='probabilities'"
)

_ANSWERS_ONLY = (
    "the target gives answers only: no attacker saw a gradient, and no check could look at one. "
    "Whoever holds its weights can compute it, and does better than the score-based attacks here"
)

_UNCHECKED = (
    "no check looked at whether the attacks work: where they fail, what they leave says nothing"
)

_UNREPEATABLE = (
    "the target draws from a source of its own, which nobody can seed: the numbers cannot be "
    "repeated, and its bank of known draws is not known"
)


def evaluate(
    target: Any,
    data: Images,
    threat: Threat,
    suite: str | Suite | Queries | PaperProtocol | Grid = "quick",
    *,
    surrogates: Mapping[str, Any] | None = None,
    about: About | None = None,
    progress: Progress | None = None,
    resume: str | Path | None = None,
    processes: int = 1,
    executor: Executor | None = None,
    threads: int | None = None,
    share: str | None = None,
    **settings: Any,
) -> Record:
    """Attack ``target`` at every level of knowledge that it has, and check the attacks.

    For each image and entry of the suite the attacked image is predicted R times on draws that
    select, and R times on fresh ones that judge. The worst case takes for each image the candidate
    (the clean image is one) that is least often right on the first, and counts how often it is
    right on the second: the lowest of several noisy scores would flatter the attacker. The
    randomness of a batch is a function of the seed, the purpose and the batch's number, so that
    with a ``resume`` folder a killed evaluation, called again, gives the bit-identical record.

    Args:
        target: a defence, or any callable from images (B,3,H,W) in [0,1] to logits (B,K),
            random or not.
        data: the images to attack.
        threat: what the attacker may change.
        suite: ``quick``, ``standard``, ``full``, ``queries`` (attackers who only ask), a suite
            of one's own, the paper's protocol or a grid.
        surrogates: name to other targets, whose adversarial images are tried on this one.
        about: what the record has to say beyond what can be seen.
        progress: called with (what is being done, seconds of work done, seconds of all work); by
            default a bar on stderr where that is a terminal.
        resume: a folder for finished parts; it is left for the caller to delete. Needs the
            digests of the weights in ``about``.
        processes: worker processes that share out the batches.
        executor: runs the batches in their place: any ``concurrent.futures.Executor``, such as
            Dask's ``Client.get_executor()``. It is left open.
        threads: processor threads of each worker, on which the last bit of a result depends; by
            default those of torch here, of several processes the cores shared out among them, and
            1 with an ``executor``.
        share: ``K/N``: do this share of the batches into the ``resume`` folder, and no more.
        settings: the other fields of :class:`EvalConfig`: ``draws``, ``queries``,
            ``attack_precision``, ``outputs``, ``surrogate``, ``seed``, ``batch_size``, ``device``.

    Returns:
        A record, of which :func:`alp.conclude` makes accuracies. Of the suite ``queries`` its kind
        is ``queries`` (:mod:`alp.records.queries` has the columns), of another suite ``verdict``.
        Columns of a verdict, one row an image: ``index``, ``label``, ``psnr`` (dB) and ``ssim`` of
        one purified draw, ``clean_select`` and ``clean_fresh`` (how many of R predictions are
        right), ``clean_confidence`` (mean softmax of the classes predicted on fresh draws), for
        each entry ``<entry>_attacked`` (whether it was: an image that is wrong already is not),
        ``<entry>_select``, ``<entry>_fresh`` (-1 where nothing was predicted: the attack did no
        better than the clean image), ``<entry>_confidence`` (NaN there) and ``<entry>_distance``,
        and the numbers of the checks, ``<check>_<number>``, NaN beyond the images that they looked
        at.

    Raises:
        UnknownNameError: no such suite or precision.
        ConfigError: no images, a target or a setting that cannot be used, an attack that leaves
            the threat, or a resume folder of another evaluation.
        ShareDone: the share is done; a call without ``share`` gives the record.
        AlpError: the suite needs a library that is not installed, or batches failed three times.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    given["device"] = device_of(str(given.get("device", "cpu")))
    try:
        config = EvalConfig(suite, threat, **given)
    except TypeError as error:
        raise ConfigError(f"evaluate has no such setting: {error}") from error
    with on_terminal(progress) as shown:
        return run(
            target,
            data,
            config,
            surrogates=surrogates,
            about=about,
            progress=shown,
            resume=resume,
            crew=Crew(executor, processes, threads),
            share=Share.of(share, {}),
        )


def run(
    target: Any,
    data: Images,
    config: EvalConfig,
    *,
    deploy: Callable[[Defence], Defence] | None = None,
    surrogates: Mapping[str, Any] | None = None,
    about: About | None = None,
    progress: Progress = lambda what, done, total: None,
    resume: str | Path | None = None,
    crew: Crew | None = None,
    share: Share | None = None,
    note: Note = lambda text: None,
) -> Record:
    """As :func:`evaluate`, with the whole configuration in one object.

    Args:
        deploy: makes of the target what is deployed; each worker process calls it.
        crew: what does the units; by default this process.
        share: which of the units are done.
        note: told in a sentence when a worker died.
    """
    require_data(data)
    if not isinstance(surrogates or {}, Mapping):
        raise ConfigError(
            f"surrogates are a {type(surrogates).__name__}; give a name to each, {{'name': model}}"
        )
    require_folder(share, resume)
    crew = crew or Crew()
    with on_threads(crew.size):
        before = Unchanged([target, *(surrogates or {}).values()])
        work = Work(target, deploy, surrogates or {}, data, config)
        defence, tasks, plan = work.defence, work.tasks, work.plan
        about = replace(about or About(type(target).__name__), draws=defence.draws)
        own = plan.own(config.threat, list(work.surrogates), config.attack_precision)
        begun = header(plan.kind, about, data, config.threat, config.where(), own)
        probe = work.probe()
        computed = computed_by(config.device, probe.numbers)
        finished = finished_batches(resume, begun, computed)
        every = units(tasks, len(data), config.batch_size)
        mine = share_of(share, tasks, every)
        chosen = [unit for unit in every if unit in mine]
        x, _ = work.first(config.batch_size)
        work.keep_rows(rows_kept(defence, x, plan, crew, note))
        try:
            tracker = Tracker(tasks, probe.rates, chosen, progress)
            with crew.at_work(work, work.description(computed)) as (executor, prepared):
                parts = run_tasks(tasks, chosen, executor, prepared(_unit), finished, tracker, note)
        finally:
            work.keep_rows(None)
        before.require()
        if share is not None and finished is not None:
            left = missing(every, finished)
            raise ShareDone.of(share, about.name, len(mine), len(every), left)
        columns = joined(tasks, parts, data)
        found = plan.conclude(tasks, columns)
        warnings = [] if probe.numbers else [_UNREPEATABLE]
        if work.probabilities and config.outputs == "logits":
            warnings.append(_PROBABILITIES)
        if shares_draws(defence, x):
            found["shared_draws"] = True
            warnings.append(_shared(-(-len(data) // config.batch_size)))
        if not defence.differentiable:
            warnings.append(_ANSWERS_ONLY)
        elif isinstance(plan, Adaptive) and not plan.checked:
            warnings.append(_UNCHECKED)
        if warnings:
            found["warnings"] = [*found.get("warnings", own.get("warnings", [])), *warnings]
    return Record({**begun, **found}, columns)


def _shared(batches: int) -> str:
    told = f"the intervals are made of the {batches} batches"
    if batches < 2:
        told = "one batch says nothing about how far this scatters"
    return (
        "one draw of the target serves a whole batch, so that the outcomes of its images go "
        f"together: {told}; a smaller batch_size makes more of them"
    )


class Work:
    """Everything that a process needs to do units."""

    def __init__(
        self,
        target: Any,
        deploy: Callable[[Defence], Defence] | None,
        surrogates: Mapping[str, Any],
        data: Images,
        config: EvalConfig,
    ) -> None:
        self._made_of = (target, deploy, surrogates, data, config)
        self.data, self.config = data, config
        self.rows: int | None = None
        x, _ = self.first(config.batch_size)

        def seen(target: Any, draws: int | None = None) -> Defence:
            """A target as attackers of this precision see it."""
            defence = as_defence(target, x, draws)
            if config.outputs == "probabilities":
                defence = Logarithm(defence)
            return HalfPrecision(defence) if config.attack_precision == "bfloat16" else defence

        if deploy is not None:
            target = deploy(target)
        self.defence = seen(target, config.draws)
        if config.surrogate:
            self.defence = DeclaredSurrogate(self.defence, config.surrogate)
        self.surrogates = {name: seen(each) for name, each in surrogates.items()}
        context = Context(self.defence, self.surrogates, config.threat, config.seed)
        answers = _answers(self.defence, x[:_FEW])
        self.probabilities = are_probabilities(answers)
        suite, classes = config.plan, answers.shape[1]
        require_same_classes(self.defence, data, classes)
        for surrogate in self.surrogates.values():
            require_same_classes(surrogate, data)
        plan = Adaptive(suite) if isinstance(suite, str | Suite) else suite
        self.plan = plan.fitted(context, config.norm, classes)
        self.tasks: list[Task] = list(self.plan.tasks(context))

    def keep_rows(self, rows: int | None) -> None:
        """Let gradients keep so many images of draws at a time; None keeps all."""
        self.rows = rows
        keep_at_most(self.defence, rows)

    def description(self, computed: Mapping[str, Any]) -> Callable[[], Work]:
        """What makes the same in another process, where it has to compute the same numbers."""
        target, deploy, surrogates, data, config = self._made_of
        others = {name: reference(each) for name, each in surrogates.items()}
        made_of = (reference(target), deploy, others, data.reference(), config)
        return partial(_again, made_of, dict(computed), versions(), self.rows)

    def probe(self) -> Probe:
        """How fast the target is here, and what it computes."""
        x, y = self.first(self.config.batch_size)
        return probed(self.defence, x, y)

    def first(self, count: int) -> tuple[Tensor, Tensor]:
        """The first ``count`` images and labels, on the device."""
        return self._batch(range(min(count, len(self.data))))

    def unit(self, unit: Unit, earlier: list[Part]) -> Part:
        """Do a unit."""
        x, y = self._batch(unit.rows)
        return self.tasks[unit.task].run(x, y, unit.batch, earlier)

    def _batch(self, rows: range) -> tuple[Tensor, Tensor]:
        x, y = self.data.batch(torch.arange(rows.start, rows.stop))
        return x.to(self.config.device), y.to(self.config.device)


def _again(
    made_of: Any, computed: Mapping[str, Any], wanted: Mapping[str, str], rows: int | None
) -> Work:
    """A worker's :class:`Work`.

    Raises:
        ConfigError: this worker computes other numbers than the process that sent for it.
        CheckpointError, DataError: it has other weights or data.
    """
    target, deploy, surrogates, data, config = made_of
    others = {name: loaded(each, config.device) for name, each in surrogates.items()}
    work = Work(loaded(target, config.device), deploy, others, data_loaded(data), config)
    here = {
        "versions": versions(),
        "computed": computed_by(config.device, work.probe().numbers),
    }
    require_same_numbers({"versions": wanted, "computed": computed}, here)
    work.keep_rows(rows)
    return work


def _unit(
    work: Work, unit: Unit, earlier: list[Part], finished: FinishedBatches | None
) -> tuple[Part, bool]:
    begun = begun_here(unit, finished)
    with resumable.resumable(begun):
        part = work.unit(unit, earlier)
    kept = kept_here(unit, part, finished)
    if begun is not None:
        begun.forget()
    return part, kept


def _answers(defence: Defence, x: Tensor) -> Tensor:
    with torch.no_grad():
        answers: Tensor = defence(x, seeding.generator(0, "classes", device=x.device))
    return answers

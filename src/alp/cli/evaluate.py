"""``alp evaluate``: trained models against attackers of every level of knowledge."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from alp.cli import COMMANDS
from alp.cli.common import Attacked, Spread, deployment, frame_for, load_named
from alp.cli.settings import POSITIONAL, among
from alp.config import positive
from alp.deploy.backends import BACKENDS, PRECISIONS
from alp.errors import ConfigError
from alp.evaluation.knowledge import ATTACK_PRECISIONS
from alp.evaluation.suites import QUERIES, SUITE_NAMES


@dataclass(frozen=True, kw_only=True)
class Settings(Attacked, Spread):
    """Attack trained models at every level of knowledge, print the worst case and whether the
    attacks can be trusted. Each model gets a record in the folder; interrupted, the same command
    goes on where it stopped. For numbers that are published take --suite standard (it needs the
    extra 'attacks')."""

    weights: tuple[Path, ...] = field(metadata=POSITIONAL)
    """Weights files, packaged names or references (docs/classifiers.md) of classifiers and defended
    classifiers."""
    images: int | None = None
    """How many images, a fixed class-balanced choice; by default 256, or all of a smaller
    split."""
    usual = 256
    suite: str = field(default="quick", metadata=among(SUITE_NAMES))
    """quick: minutes on two cores; unchecked: its attacks, with no check of whether they work;
    standard: hours; full: every attack, for a GPU; queries: attackers who only ask, by the number
    of questions (docs/judging.md)."""
    queries: int | None = None
    """Answers that an attacker of the suite queries may pay for an image; by default 1000."""
    surrogates: tuple[Path, ...] = ()
    """Weights of other classifiers, whose adversarial images are tried on each model, or, in the
    suite queries, are where attackers start."""
    sequential: bool = False
    """Predict by the sequential consensus, which stops drawing once it is decided."""
    backend: str | None = field(default=None, metadata=among(BACKENDS))
    """Judge the predictions of an engine, not of the model itself."""
    precision: str = field(default="float32", metadata=among(PRECISIONS))
    """Of the engine; int8 is calibrated on 512 training images."""
    attack_precision: str = field(default="float32", metadata=among(ATTACK_PRECISIONS))
    """What the attackers compute in; what they made is always judged as deployed. bfloat16 takes
    half the time where the processor multiplies it."""
    surrogate: str | None = None
    """The gradient that the models declare in place of the exact one, in words, such as 'the
    identity in place of rounding': it is checked as a surrogate (docs/judging.md)."""
    batch_size: int = 64
    """Images of a unit, which are attacked together. Part of the protocol: an image's draws depend
    on the batch that it is in. A smaller one needs less memory, and less is lost where the command
    is interrupted, since finished units are kept."""
    plan: bool = False
    """Say what it will take, and do nothing: units, core-hours, memory, and wall time on 1 to 512
    workers. A few calls of each kind are timed."""

    def __post_init__(self) -> None:
        Attacked.__post_init__(self)
        Spread.__post_init__(self)
        positive(self, "batch_size")
        if self.precision != "float32" and self.backend is None:
            raise ConfigError(
                f"precision is {self.precision!r}, which is an engine's; give a --backend too"
            )


@COMMANDS.register(
    "evaluate",
    order=2,
    summary="attack trained models at every level of knowledge, and check the attacks",
)
def run(settings: Settings) -> None:
    """Evaluate each model, then print the protocol, the table and the verdicts."""
    from alp.cli.console import note, progress, show, warn
    from alp.cli.gather import remember_command, show_shares
    from alp.cli.queries import curve_table, query_lines, query_sentences
    from alp.cli.tables import (
        evaluation_lines,
        plan_lines,
        plan_values,
        span,
        verdict_lines,
        verdict_table,
    )
    from alp.evaluation import EvalConfig
    from alp.evaluation.planning import estimate
    from alp.evaluation.saved import about, evaluate_into
    from alp.executors import device_of
    from alp.executors.shares import ShareDone
    from alp.records import conclude

    models = load_named(settings.weights, settings.draws)
    others = load_named(settings.surrogates)
    images = settings.chosen_images([*models.values(), *others.values()])
    config = EvalConfig.of(
        settings, draws=None, device=device_of(settings.device), surrogate=settings.surrogate or ""
    )
    deploy = deployment(
        settings.data,
        settings.seed,
        frame_for(models.values(), settings.size),
        settings.backend,
        settings.precision,
        settings.sequential,
    )
    extra = {"deployed": deploy.words} if deploy.words else {}
    if settings.plan:
        plans = {
            name: estimate(
                model, images, config, deploy=deploy, surrogates=others, crew=settings.crew
            )
            for name, model in models.items()
        }
        show(settings.json, {"plans": plan_values(plans)}, *plan_lines(plans))
        return
    share, records, told = settings.own_share, [], []
    remember_command("evaluate", settings, share)
    with progress("s of work") as bar:

        def report(name: str, what: str, done: float, total: float) -> None:
            if what == "start":
                time = span(total / settings.processes)
                note(f"evaluate {name}: about {time} on this machine")
            bar(f"evaluate {name}", round(done), round(total), what)

        for name, model in models.items():
            try:
                record = evaluate_into(
                    settings.out,
                    name,
                    model,
                    images,
                    config,
                    about(model, name, surrogates=others, extra=extra),
                    surrogates=others,
                    deploy=deploy,
                    crew=settings.crew,
                    share=share,
                    progress=partial(report, name),
                    note=warn,
                )
            except ShareDone as done:
                told.append(str(done))
            else:
                records.append(record)
    if told:
        show_shares(settings.json, told, settings.out)
        return
    conclusions = [conclude(record) for record in records]
    folder = settings.out / "records"
    if settings.suite == QUERIES:
        lines, shown = query_lines(records), curve_table(conclusions)
        ends = query_sentences(records)
    else:
        lines, shown = evaluation_lines(records), verdict_table(conclusions)
        ends = verdict_lines(conclusions)
    result = {"models": conclusions, "records": str(folder)}
    show(settings.json, result, *lines, shown, *ends, f"records    {folder}")

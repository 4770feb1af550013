"""``alp protect``: from a classifier and pictures to a defence that is judged and exported."""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Set
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from alp.cli import COMMANDS, settings_of
from alp.cli.common import Sized, frame_for
from alp.cli.settings import POSITIONAL, RESUMED
from alp.cli.values import worded
from alp.config import EngineConfig, positive, require_number
from alp.errors import AlpError, ConfigError, install

if TYPE_CHECKING:
    from alp.protection import Plan, Training
    from alp.protection.measure import Rates

UNITS = {"s": 1, "m": 60, "h": 3600}

NEEDS = {
    "lightning_fabric": "train",
    "onnx": "onnx",
    "onnxscript": "onnx",
    "onnxruntime": "onnx",
    "matplotlib": "report",
}
"""Module to the extra that has it."""

APART = ("out", "json")
"""Settings that change nothing of what is done."""


@dataclass(frozen=True, kw_only=True)
class Settings(Sized):
    """Put a purifier before a classifier and train it on your pictures; then judge it against
    attackers of every knowledge, certify some images, export it to ONNX, time it, and write one
    page, README.md, that says what the defence is worth and against whom. Each step is a command
    of its own, which the page names; interrupted, the same command goes on where it stopped."""

    classifier: Path = field(metadata=POSITIONAL)
    """The classifier to protect: a weights file, a packaged name, or a reference such as
    timm:NAME, FILE.pt2 or FILE.py:FUNCTION."""
    pictures: str = field(metadata=POSITIONAL)
    """A data set, or a folder of pictures laid out class/file."""
    out: Path = field(metadata=RESUMED)
    """Folder for everything that is made."""
    budget: str = "30m"
    """How long it may take in all, about: 90s, 30m, 2h. It decides how long is trained and on how
    many images is judged."""
    retrain: Literal["nothing", "classifier"] = "nothing"
    """nothing: the classifier stays as it is, and the purifier alone is trained adversarially
    before it; classifier: it is fine-tuned adversarially behind the purifier."""
    purifier: Path = Path("cifar10-lite/purifier")
    """Weights file, or packaged name, of the purifier to start from."""
    eps: float = 8 / 255
    """Radius of the threat in Linf, on images in [0,1]."""
    draws: int = 8
    """Draws of the noise that a prediction averages."""
    seed: int = 0
    """Seed of all that is random."""

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "draws")
        require_number("eps", self.eps, 0, 1, above=True)
        seconds(self.budget)

    @property
    def recipe(self) -> str:
        """The recipe of the adversarial training."""
        return {"nothing": "guard", "classifier": "adversarial-purified"}[self.retrain]


def seconds(text: str) -> float:
    """A length of time such as ``90s``, ``30m`` or ``2h``, in seconds.

    Raises:
        ConfigError: it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if found is None or not float(found[1]):
        raise ConfigError(f"the budget is {text!r}; give a time such as 90s, 30m or 2h")
    return float(found[1]) * UNITS[found[2]]


@COMMANDS.register(
    "protect",
    order=1,
    summary="defend a classifier on your pictures: train, judge, certify, export, one page",
)
def run(settings: Settings) -> None:
    """Measure, plan and take each step that is not done yet, and write the page."""
    import torch

    from alp.attacks import Linf
    from alp.cli.console import note, quieten_engine, show, warn
    from alp.cli.tables import span
    from alp.data import load_data
    from alp.defences import Defended
    from alp.defences.checkpoint import weights_digest
    from alp.defences.classes import count_classes, require_fixed, require_same_classes
    from alp.defences.packaged import load_classifier, load_purifier
    from alp.defences.trainable import leads_through
    from alp.evaluation import EvalConfig
    from alp.executors import device_of
    from alp.files import require_writable, write_atomically
    from alp.protection import NAMES, Schedule, assemble
    from alp.protection.facts import facts
    from alp.protection.measure import judging_rates, measured
    from alp.report.protected import OVER, page
    from alp.training.engine import limit_threads

    start = time.monotonic()
    for module, extra in NEEDS.items():
        if find_spec(module) is None:
            raise AlpError(f"protect needs {module}, which is not installed: {install(extra)}")
    quieten_engine()
    limit_threads(EngineConfig())  # as the trainings do, so that an interruption changes no bit
    classifier, purifier = load_classifier(settings.classifier), load_purifier(settings.purifier)
    require_writable(settings.out, "plan.json")
    frame = frame_for([classifier], settings.size)
    data = [load_data(settings.pictures, split, frame=frame) for split in ("train", "test")]
    x, _ = data[0].batch(torch.arange(1))
    require_same_classes(classifier, data[0], count_classes(classifier, x))
    if not classifier.differentiable or not leads_through(classifier, x):
        raise ConfigError(
            f"{settings.classifier} has no gradient, through which a purifier is trained; give the "
            "classifier as weights, FILE.pt2, FILE.py:FUNCTION or timm:NAME"
        )
    require_fixed(classifier, str(settings.classifier))
    read = time.monotonic()
    config = EvalConfig("quick", Linf(settings.eps), seed=settings.seed, device=device_of("auto"))
    attacked = (classifier, Defended(classifier, purifier, settings.draws))

    def measure() -> tuple[Rates, float]:
        note("measuring how long each step takes here")
        start_from = settings.purifier, settings.classifier
        rates = measured(attacked, settings.recipe, start_from, data, config, read - start)
        return rates, time.monotonic() - start

    def judging() -> tuple[tuple[float, int], ...]:
        trained = opened(settings.out / "defended.safetensors", settings.classifier)
        return judging_rates((classifier, load_classifier(Path(trained))), data[1], config)

    asked = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(settings).items()
        if name not in APART
    }
    asked["weights"] = [weights_digest(each) for each in (classifier, purifier)]
    asked["data"] = [each.digest for each in data]
    schedule = Schedule(
        settings.out, asked, seconds(settings.budget), (len(data[0]), len(data[1])), measure
    )
    if schedule.taken(NAMES[-1]) is None and schedule.total > schedule.budget * OVER:
        warn(
            f"the least that is done takes about {span(schedule.total)} here, and {settings.budget}"
            " is the budget"
        )
    if schedule.plan.left_out:
        warn(f"no picture is certified: even few take longer than a fifth of {settings.budget}")
    height = None if frame is None else frame.height
    for number, name in enumerate(NAMES, 1):
        if schedule.taken(name) is not None or name in schedule.plan.left_out:
            continue
        began = time.monotonic()
        if name == "export":
            weights = settings.out / "defence" / "weights.safetensors"
            trained = Path(opened(weights, settings.classifier))
            assemble(settings.out, trained, classifier, settings.draws)
        schedule.begin(name, judging)
        line = commands(settings, schedule.plan, height)[name]
        note(
            f"step {number} of {len(NAMES)}, {name}, about {span(schedule.seconds[name])} "
            f"({span(schedule.total)} in all): {shlex.join(['alp', *line])}"
        )
        _do(line)
        schedule.done(name, time.monotonic() - began)
    told = facts(
        settings.out,
        settings.retrain,
        _as_typed(commands(settings, schedule.plan, height), schedule.plan.left_out),
        _as_typed(later(settings, schedule.plan, height)),
        schedule,
    )
    text = page(told)
    write_atomically(settings.out / "README.md", lambda file: file.write_text(text, "utf-8"))
    show(
        settings.json,
        {"page": str(settings.out / "README.md"), **told},
        text.split("\n\n")[1].replace("**", ""),
        f"page       {settings.out / 'README.md'}",
        f"weights    {settings.out / 'defended.safetensors'}",
        f"ONNX       {settings.out / 'exported'}",
    )


def _as_typed(lines: dict[str, list[str]], without: Set[str] = frozenset()) -> dict[str, list[str]]:
    return {name: ["alp", *line] for name, line in lines.items() if name not in without}


def _do(line: list[str]) -> None:
    """Run a command, whose results go where progress goes."""
    with redirect_stdout(sys.stderr):
        COMMANDS[line[0]](settings_of(*line))


def commands(settings: Settings, plan: Plan, height: int | None) -> dict[str, list[str]]:
    """Step to the arguments of its command; ``height`` is that of the classifier's images, which
    the training of a purifier alone cannot know."""
    out, seed = settings.out, ["--seed", str(settings.seed)]
    size = [] if settings.size is None else ["--size", str(settings.size)]
    data = ["--data", str(settings.pictures)]
    own = [] if height is None else ["--size", str(height)]
    front = str(out / "purifier" / "weights.safetensors")
    behind = ["--purifier", front, "--classifier", str(settings.classifier)]
    defended, noiseless = (
        opened(out / f"{name}.safetensors", settings.classifier)
        for name in ("defended", "noiseless")
    )
    eps = worded(settings.eps)

    def into(name: str, *line: Any) -> list[str]:
        return [*map(str, line), "--out", str(out / name)]

    def long(training: Training) -> list[str]:
        batch, epochs = str(training.batch_size), str(training.epochs)
        return ["--stage.optim.batch_size", batch, "--stage.optim.epochs", epochs]

    return {
        "purifier": into(
            "purifier", "train", "purifier", *data, *own, *seed,
            "--purifier", settings.purifier, *long(plan.adapting),
        ),
        "defence": into(
            "defence", "train", settings.recipe, *data, *size, *seed, *behind,
            "--stage.adversary.eps", eps, *long(plan.defending),
        ),
        "export": into("exported", "export", defended, *own),
        "bench": into(
            "bench", "bench", defended, *data, *size, *seed, "--batches", 1, "--backends", "eager",
            "onnxruntime", "--baselines", "bare", "--consensus.draws", settings.draws,
            "--rounds", 30,
        ),
        "certify": into(
            "certified", "certify", noiseless, *data, *size, *seed,
            "--images", plan.certified, "--sigma", plan.sigma, "--budget", plan.votes,
            "--batch_size", 1, "--radii", *plan.radii,
        ),
        "judge": into(
            "judged", "evaluate", settings.classifier, defended, *data, *size, *seed,
            "--images", plan.judged, "--suite", "quick" if plan.checked else "unchecked",
            "--threat.eps", eps,
        ),
    }  # fmt: skip


def later(settings: Settings, plan: Plan, height: int | None) -> dict[str, list[str]]:
    """``certify`` and ``check``, where the plan leaves them out, to the arguments of the commands
    that do them later."""
    lines = commands(settings, plan.whole(), height)
    found = {name: lines[name] for name in plan.left_out}
    if not plan.checked:
        found["check"] = [*lines["judge"][:-1], str(settings.out / "checked")]
    return found


def opened(path: Path, classifier: Path) -> str:
    """How a weights file is loaded: code that it stands before has to be named each time."""
    from alp.defences.references import CODE, parsed

    reference = parsed(classifier)
    code = reference is not None and reference.kind in CODE
    return f"{path},classifier={classifier}" if code else str(path)

"""``alp protect``: from a classifier and pictures to a defence that is judged and exported."""

from __future__ import annotations

import re
import shlex
import sys
import time
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from alp.cli import COMMANDS, settings_of
from alp.cli.common import Sized, frame_for
from alp.cli.settings import POSITIONAL, RESUMED
from alp.cli.values import worded
from alp.config import positive, require_number
from alp.errors import ConfigError

if TYPE_CHECKING:
    from alp.protection import Plan

UNITS = {"s": 1, "m": 60, "h": 3600}


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
        positive(self, "eps", "draws")
        seconds(self.budget)

    @property
    def trained(self) -> str:
        """The step of the adversarial training, and its folder."""
        return {"nothing": "guard", "classifier": "classifier"}[self.retrain]


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
    """Plan, take each step that is not done yet, and write the page."""
    from alp.cli.console import note, show
    from alp.data import load_data
    from alp.defences.packaged import load_classifier, load_purifier
    from alp.files import write_atomically
    from alp.protection import assemble, planned
    from alp.protection.facts import facts
    from alp.report.protected import page

    require_number("eps", settings.eps, 0, 1, above=True)
    classifier = load_classifier(settings.classifier)
    frame = frame_for([classifier], settings.size)
    train, test = (load_data(settings.pictures, split, frame=frame) for split in ("train", "test"))
    plan = planned(
        settings.out,
        {
            "classifier": str(settings.classifier),
            "pictures": str(settings.pictures),
            "budget": settings.budget,
            "retrain": settings.retrain,
            "purifier": str(settings.purifier),
            "size": settings.size,
            "eps": settings.eps,
            "draws": settings.draws,
            "seed": settings.seed,
        },
        seconds(settings.budget),
        classifier,
        load_purifier(settings.purifier),
        train,
        test,
    )
    lines = commands(settings, plan, None if frame is None else frame.height)
    for number, (name, line) in enumerate(lines.items(), 1):
        if name == "judge":
            weights = settings.out / settings.trained / "weights.safetensors"
            assemble(settings.out, weights, classifier, settings.draws)
        done = settings.out / "steps" / f"{name}.json"
        if not done.exists():
            note(f"step {number} of {len(lines)}, {name}: {shlex.join(['alp', *line])}")
            _step(done, line)
    told = facts(settings.out, settings.retrain, {k: ["alp", *v] for k, v in lines.items()})
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


def _step(done: Path, line: list[str]) -> None:
    """Run a command, whose results go where progress goes, and note how long it took."""
    from alp.files import write_json

    start = time.monotonic()
    with redirect_stdout(sys.stderr):
        COMMANDS[line[0]](settings_of(*line))
    write_json(done, {"seconds": round(time.monotonic() - start, 1)})


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
        _opened(out / f"{name}.safetensors", settings.classifier)
        for name in ("defended", "noiseless")
    )
    eps = worded(settings.eps)
    batch = ["--stage.optim.batch_size", str(plan.batch_size)]
    recipe = {"nothing": "guard", "classifier": "adversarial-purified"}[settings.retrain]

    def into(name: str, *line: Any) -> list[str]:
        return [*map(str, line), "--out", str(out / name)]

    return {
        "purifier": into(
            "purifier", "train", "purifier", *data, *own, *seed,
            "--purifier", settings.purifier, "--stage.optim.epochs", plan.purifier_epochs, *batch,
        ),
        settings.trained: into(
            settings.trained, "train", recipe, *data, *size, *seed, *behind,
            "--stage.adversary.eps", eps, "--stage.optim.epochs", plan.defence_epochs, *batch,
        ),
        "judge": into(
            "judged", "evaluate", settings.classifier, defended, *data, *size, *seed,
            "--images", plan.judged, "--suite", "quick", "--threat.eps", eps,
        ),
        "certify": into(
            "certified", "certify", noiseless, *data, *size, *seed,
            "--images", plan.certified, "--sigma", plan.sigma, "--budget", plan.votes,
            "--radii", 0, plan.sigma, 2 * plan.sigma,
        ),
        "export": into("exported", "export", defended, *own),
        "bench": into(
            "bench", "bench", defended, *data, *size, *seed, "--batches", 1, "--backends", "eager",
            "onnxruntime", "--baselines", "none", "--rounds", 30,
        ),
    }  # fmt: skip


def _opened(path: Path, classifier: Path) -> str:
    """How a weights file is loaded: code that it stands before has to be named each time."""
    from alp.defences.references import CODE, parsed

    reference = parsed(classifier)
    code = reference is not None and reference.kind in CODE
    return f"{path},classifier={classifier}" if code else str(path)

"""``alp evaluate``: trained models against attackers of every level of knowledge."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from alp.attacks import THREATS, Threat
from alp.cli import COMMANDS
from alp.cli.common import deployment_of, names
from alp.cli.settings import POSITIONAL, RESUMED, among, given
from alp.config import positive
from alp.data import SPLITS
from alp.deploy.backends import BACKENDS, PRECISIONS
from alp.errors import ConfigError
from alp.evaluation.knowledge import ATTACK_PRECISIONS
from alp.evaluation.suites import SUITES


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Attack trained models at every level of knowledge, print the worst case and whether the
    attacks can be trusted. Each model gets a record in the folder; interrupted, the same command
    goes on where it stopped. For numbers that are published take --suite standard (it needs the
    extra 'attacks')."""

    weights: tuple[Path, ...] = field(metadata=POSITIONAL)
    """Weights files, or packaged names, of classifiers and defended classifiers."""
    data: str = "cifar10"
    """cifar10, shapes (embedded), or a folder of pictures laid out class/file."""
    split: str = field(default="test", metadata=among(SPLITS))
    """Which split."""
    images: int = 256
    """How many images, a fixed class-balanced choice; at most all of the split."""
    suite: str = field(default="quick", metadata=among(SUITES))
    """quick: minutes on two cores; standard: hours; full: every attack, for a GPU."""
    surrogates: tuple[Path, ...] = ()
    """Weights of other classifiers, whose adversarial images are tried on each model."""
    draws: int | None = None
    """Draws of the deployed prediction; by default as the weights file says."""
    sequential: bool = False
    """Predict by the sequential consensus, which stops drawing once it is decided."""
    backend: str | None = field(default=None, metadata=among(BACKENDS))
    """Judge the predictions of a compiled engine: eager, compile, onnxruntime or openvino."""
    precision: str = field(default="float32", metadata=among(PRECISIONS))
    """Of the engine; int8 is calibrated on 512 training images."""
    attack_precision: str = field(default="float32", metadata=among(ATTACK_PRECISIONS))
    """What the attackers compute in; what they made is always judged as deployed. bfloat16 takes
    half the time where the processor multiplies it."""
    norm: str = field(default="linf", metadata=among(THREATS))
    """The norm of the threat; it decides about --threat."""
    threat: Threat = field(metadata=given(lambda by: THREATS[by["norm"]](), "norm"))
    """The ball of the attacker."""
    seed: int = 0
    """Seed of the choice of images, the attacks and the draws."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    processes: int = 1
    """Processes that share out the batches, one a device."""
    out: Path = field(metadata=RESUMED)
    """Folder for the records."""
    json: bool = False
    """Print JSON."""

    def __post_init__(self) -> None:
        positive(self, "images", "processes")
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
    from alp.cli.console import note, progress, say, say_json
    from alp.cli.tables import caveat_lines, span, table, verdict_lines
    from alp.data import load_data
    from alp.defences.packaged import load_classifier
    from alp.evaluation import EvalConfig
    from alp.evaluation.saved import about, evaluate_into
    from alp.executors import device_of
    from alp.records import conclude

    named = names(settings.weights)
    models = [load_classifier(path, settings.draws) for path in named.values()]
    others = {
        name: load_classifier(path, None) for name, path in names(settings.surrogates).items()
    }
    split = load_data(settings.data, settings.split)
    images = split.take(min(settings.images, len(split)), settings.seed)
    config = EvalConfig.of(settings, draws=None, device=device_of(settings.device))
    deploy = deployment_of(settings)
    records = []
    with progress("s of work") as show:
        for name, model in zip(named, models, strict=True):

            def report(what: str, done: float, total: float, name: str = name) -> None:
                if what == "start":
                    note(
                        f"evaluate {name}: about {span(total / settings.processes)} on this machine"
                    )
                show(f"evaluate {name}", round(done), round(total), what)

            extra = {"deployed": deploy.words} if deploy.words else {}
            records.append(
                evaluate_into(
                    settings.out,
                    name,
                    model,
                    images,
                    config,
                    about(model, name, surrogates=others, extra=extra),
                    surrogates=others,
                    deploy=deploy,
                    processes=settings.processes,
                    progress=report,
                    note=lambda text: note(f"alp: warning: {text}"),
                )
            )
    conclusions = [conclude(record) for record in records]
    if settings.json:
        say_json({"models": conclusions, "records": str(settings.out / "records")})
        return
    say(*caveat_lines(records), table(conclusions), *verdict_lines(conclusions))
    say(f"records    {settings.out / 'records'}")

"""``alp train``: one stage of training, by a named recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from alp.cli import COMMANDS
from alp.cli.common import Sized, frame_for
from alp.cli.settings import POSITIONAL, RESUMED, among, given
from alp.config import EngineConfig
from alp.errors import ConfigError
from alp.training.adapting import adapted, steps_word
from alp.training.recipes import RECIPES, Scale, recipe
from alp.training.stages import Stage
from alp.training.trackers import TRACKERS


@dataclass(frozen=True, kw_only=True)
class Settings(Sized):
    """Train by a named recipe; 'alp train RECIPE --help' explains the stage's settings too, with
    the recipe's defaults at the scale. Interrupted, the same command goes on where it stopped."""

    recipe: str = field(metadata=POSITIONAL | among(RECIPES))
    """What to train. standard and adversarial: a classifier; purifier; *-purified: a classifier
    behind a purifier, which stays as it is; joint: both together; certified: a classifier whose
    votes under noise can be certified; guard: a purifier before a classifier, which stays as it
    is, by attacks; denoiser: the same by Gaussian noise, as the base of certificates; diffusion: a
    diffusion model of low noise; magnet: an autoencoder and detectors before a classifier; hgd: a
    denoiser of attacks before one; ensemble-adversarial: a classifier by images attacked through
    others; distilled: one by the soft labels of another at a high temperature; unified: the
    encoder, prior and decoder of unified latents."""
    scale: Scale = "cpu"
    """smoke: seconds, for tests; demo: a minute, on the embedded shapes; cpu: two cores; gpu."""
    data: str = "cifar10"
    """A data set, such as cifar10 or shapes (embedded), or a folder of pictures laid out
    class/file."""
    out: Path = field(metadata=RESUMED)
    """Folder for weights.safetensors and training.json."""
    purifier: Path | None = None
    """Weights file, or packaged name, of the purifier in front of the classifier, or of another
    defence that transforms the image, such as JPEG; of purifier, guard and denoiser, the one to
    start from, by default from scratch."""
    classifier: Path | None = None
    """Weights file, or packaged name, of the classifier to start from; by default certified starts
    from a packaged one of its size at --scale cpu, and the others from scratch. Of guard,
    denoiser, magnet and hgd it is the classifier behind them, which stays as it is, and of hgd the
    first of those whose attacked images are denoised; of distilled it is the teacher, without
    which the labels teach. A reference such as timm:NAME or net.pt2 will do too
    (docs/classifiers.md)."""
    others: tuple[Path, ...] = ()
    """Further classifiers behind guard or denoiser, or whose attacked images hgd or
    ensemble-adversarial is trained on."""
    new_head: bool = False
    """Replace the classifier's last layer by a fresh one for the classes of the pictures."""
    seed: int = 0
    """Seed of the initial weights, the order of the images and all noise."""
    stage: Stage = field(
        metadata=given(lambda by: recipe(by["recipe"], by["scale"]).stage, "recipe", "scale")
    )
    """The recipe's settings."""
    engine: EngineConfig = field(default_factory=EngineConfig)
    """Where and how it runs."""
    track: tuple[str, ...] = field(default=(), metadata=among(TRACKERS))
    """Trackers that the loss and all else that is measured goes to, step by step; what they keep
    on this machine lies in OUT/tracked."""


@COMMANDS.register(
    "train", order=1, summary="train a purifier, a classifier or both, by a named recipe"
)
def run(settings: Settings) -> None:
    """Train, with a progress bar, and say what came out."""
    check_weights(settings)

    from alp.cli.console import note, progress, quieten_engine, show
    from alp.data import load_data
    from alp.defences.packaged import load_classifier
    from alp.training.train import in_brief, train

    quieten_engine()
    start = packaged_start(settings)
    classifier = settings.classifier or (Path(start) if start else None)
    before = [load_classifier(each) for each in (classifier, *settings.others) if each is not None]
    frame = frame_for(before, settings.size)
    images = load_data(settings.data, "train", frame=frame)
    usual = recipe(settings.recipe, settings.scale).stage
    stage = settings.stage
    validation = None
    if "validation" in stage.needs:
        validation = load_data(settings.data, "validation", frame=frame)
    if settings.scale in ("cpu", "gpu") and stage.optim == usual.optim:
        # Whoever sets the length gets that length.
        fitted = adapted(stage, len(images), (images.images.shape[2], images.images.shape[3]))
        if fitted != stage:
            note(f"fitted to {len(images):,} pictures: {steps_word(fitted, len(images))}")
        stage = fitted
    if classifier is None:
        stage = stage.for_classes(len(images.classes))
    batch = stage.optim.batch_size
    with progress("steps") as bar:
        trained = train(
            stage,
            settings.out,
            images,
            seed=settings.seed,
            engine=settings.engine,
            purifier=settings.purifier,
            classifier=classifier,
            others=settings.others,
            validation=validation,
            new_head=settings.new_head,
            track=settings.track,
            report=lambda step, steps, scalars: bar(
                f"train {settings.recipe}", step, steps, in_brief(scalars), each=batch
            ),
        )
    record = {name: value for name, value in trained.record.items() if name != "curve"}
    curve = trained.record["curve"]
    last = {name: values[-1] for name, values in curve.items() if name != "step" and values}
    show(
        settings.json,
        {"weights": str(trained.path), **record, "final": last},
        f"{settings.recipe}: {record['steps']:,} steps in {record['seconds']:,.0f} s "
        f"({record['images_per_second']:,.0f} images/s, {record['parameters']:,} parameters)",
        "at the end: " + "  ".join(f"{name} {value:.4g}" for name, value in last.items()),
        f"weights: {trained.path}",
    )


def packaged_start(settings: Settings) -> str:
    """The packaged classifier that the recipe starts from; none where another architecture is
    asked for, which its weights do not fit."""
    usual = recipe(settings.recipe, settings.scale)
    same = getattr(settings.stage, "classifier", None) == getattr(usual.stage, "classifier", None)
    return usual.start if same else ""


def check_weights(settings: Settings) -> None:
    """Refuse a recipe without the weights that it starts from.

    Raises:
        ConfigError: weights are missing.
    """
    needs = recipe(settings.recipe, settings.scale)
    for name, needed in (("purifier", needs.purifier), ("classifier", needs.classifier)):
        if needed and getattr(settings, name) is None:
            raise ConfigError(
                f"the recipe {settings.recipe!r} needs the weights of a {name}; "
                f"give --{name} runs/{name}/weights.safetensors"
            )

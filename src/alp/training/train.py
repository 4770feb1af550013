"""A stage's settings and images in, weights and their record out."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch
from torch import nn

from alp import seeding
from alp.config import EngineConfig, PurifierConfig, digest, to_dict
from alp.data import Images
from alp.defences import Defended, InputNoise, Purifier, ResNetLite
from alp.defences.base import Defence, Model
from alp.defences.checkpoint import load_model, not_finite, save, weights_digest
from alp.defences.classes import require_same_classes
from alp.defences.diffusion import Diffusion
from alp.defences.hgd import HGD
from alp.defences.magnet import MagNet
from alp.defences.packaged import (
    load,
    load_classifier,
    load_kind,
    load_purifier,
    require_classifier,
)
from alp.defences.purifier import with_noise
from alp.defences.referenced import Referenced, references_of
from alp.errors import AlpError, CheckpointError, ConfigError, TrainingError
from alp.executors import is_first_process
from alp.files import exists, expanded, read_json, require_shape, require_writable, write_json
from alp.training.adapting import doubts_of
from alp.training.adversary import growing, iterated, perturbation
from alp.training.certified import CertifiedTask
from alp.training.diffusion import DiffusionTask
from alp.training.guard import GuardTask
from alp.training.hgd import HGDTask
from alp.training.magnet import MagNetTask, choose_thresholds
from alp.training.stages import (
    HEADLESS,
    CertifiedStage,
    DiffusionStage,
    GuardStage,
    HGDStage,
    JointStage,
    MagNetStage,
    PurifierStage,
    Stage,
)
from alp.training.tasks import ClassifierTask, JointTask, PurifierTask, Task
from alp.training.trackers import open_trackers, require_trackers
from alp.version import __version__

POINTS = 200
"""Points of a training's curves in its record."""


Trainable: TypeAlias = ResNetLite | Referenced
"""A classifier that can be trained."""


@dataclass(frozen=True)
class Trained:
    """A finished training."""

    model: Model
    """In evaluation mode, on the CPU."""
    path: Path
    """The weights."""
    record: dict[str, Any]
    """What ``training.json`` beside the weights holds."""

    @property
    def defence(self) -> Defence:
        """The model, which has to classify; a ConfigError where it does not."""
        return require_classifier(self.model, str(self.path))


def train(
    stage: Stage,
    folder: str | Path,
    images: Images,
    *,
    seed: int = 0,
    engine: EngineConfig | None = None,
    purifier: Path | Purifier | None = None,
    classifier: Path | Trainable | None = None,
    others: Sequence[Path] = (),
    validation: Images | None = None,
    new_head: bool = False,
    track: Sequence[str] = (),
    report: Callable[[int, int, dict[str, float]], object] = lambda step, steps, scalars: None,
) -> Trained:
    """Train one stage into ``folder``: ``weights.safetensors`` and ``training.json``.

    Called again with the same settings it resumes an interrupted training, to the same weights,
    and returns a finished one at once.

    Args:
        images: the training images.
        purifier: weights of the purifier in front of the classifier (classifier, joint), or to
            start from (purifier, guard).
        classifier: weights to start from (classifier, joint), or the frozen classifier (guard).
        new_head: whether the last layer of the classifier is replaced by a fresh one for the
            classes of the images (classifier, joint, certified).
        others: further frozen classifiers, which share the images of each step (guard).
        validation: images that are not trained on, by which thresholds are chosen (magnet).
        track: names of trackers that the scalars of each step go to
            (:data:`alp.training.trackers.TRACKERS`); they change nothing in what is trained.
        report: called after each step with (finished steps, all steps, scalars of the step).

    Raises:
        UnknownNameError: there is no such tracker.
        ConfigError: the stage, the given weights and the images do not go together: the classes
            of weights and images are compared by name; or ``folder`` holds a training of the
            other seeding scheme.
        CheckpointError: weights or checkpoint are damaged, or ``folder`` holds another training.
        TrainingError: the loss or a weight is no longer finite.
        OutputError: ``folder`` cannot be written.
        AlpError: the training engine, or a tracker, is not installed or cannot start.
    """
    if find_spec("lightning_fabric") is None:
        raise AlpError('training needs lightning_fabric: pip install "alp[train]"')
    from alp.training.engine import build_engine, limit_threads, peak_memory
    from alp.training.loop import Run, fit

    require_trackers(track)
    engine, folder = engine or EngineConfig(), expanded(folder)
    # First of all, and for a finished training too: what follows a resumed one, an evaluation say,
    # has to add its floats as what follows an uninterrupted one.
    limit_threads(engine)
    weights, record_path = folder / "weights.safetensors", folder / "training.json"
    checkpoint = folder / "checkpoint.safetensors"
    if not exists(record_path) and is_first_process():
        require_writable(folder, weights.name, record_path.name, checkpoint.name)
    if (validation is None) is isinstance(stage, MagNetStage):
        raise ConfigError(
            "the magnet stage chooses thresholds on validation images; give them in validation"
            if validation is None
            else f"a {type(stage).__name__} looks at no validation images; leave them out"
        )
    task, parents = build_task(stage, images, seed, purifier, classifier, others, new_head)
    settings = {
        "stage": type(stage).__name__,
        "settings": to_dict(stage),
        "data": images.name,
        "split": images.split,
        "data_digest": images.digest,
        "seed": seed,
        **seeding.recorded(),
        "parents": parents,
        **({"validation_digest": validation.digest} if validation else {}),
        **({"new_head": True} if new_head else {}),
    }
    key = digest(settings)
    if record_path.exists():
        return _finished(weights, record_path, key, task.model)
    doubts = _warnings(stage, images)
    for doubt in doubts:
        warnings.warn(doubt, stacklevel=2)
    loggers = open_trackers(track, folder, folder.resolve().name, settings)
    fabric = build_engine(engine, loggers)
    run = Run(
        images, stage.optim, stage.augment, seed, checkpoint, key, save_every=engine.save_every
    )
    status = "failed"
    try:
        module, progress = fit(task, run, fabric, report)
        status = "success"
    finally:
        for logger in loggers:
            logger.finalize(status)
    model = cast(Model, module.cpu())
    found = doubts_of(stage, progress.history)
    for doubt in found:
        warnings.warn(doubt, stacklevel=2)
    doubts += found
    if (fault := not_finite(model.state_dict())) is not None:
        raise TrainingError(
            f"after the last step {fault}; lower optim.lr, set optim.clip, or train with "
            "engine.precision=32-true"
        )
    if isinstance(model, Defence):
        model.classes = images.classes
    if isinstance(stage, MagNetStage) and validation:
        choose_thresholds(cast(MagNet, model), validation, stage.drop_rate)
    record = settings | {
        "key": key,
        "steps": run.steps,
        "seconds": round(progress.seconds, 1),
        "images_per_second": round(run.steps * stage.optim.batch_size / progress.seconds, 1),
        "peak_memory_mib": round(peak_memory() / 2**20),
        "parameters": sum(p.numel() for p in model.parameters()),
        "precision": str(fabric.strategy.precision.precision),
        "device": fabric.device.type,
        "processes": fabric.world_size,
        "threads": torch.get_num_threads(),
        "versions": {"alp": __version__, "torch": torch.__version__},
        "python": platform.python_version(),
        "curve": thin(progress.history, POINTS),
        "weights_digest": weights_digest(model),
        **({"warnings": doubts} if doubts else {}),
    }
    if fabric.is_global_zero:
        save(model, weights)
        write_json(record_path, record)
        checkpoint.unlink(missing_ok=True)
    fabric.barrier()
    if not fabric.is_global_zero:  # whose own batch statistics differ
        return _finished(weights, record_path, key, task.model)
    return Trained(model, weights, record)


def build_task(
    stage: Stage,
    images: Images,
    seed: int,
    purifier: Path | Purifier | None,
    classifier: Path | Trainable | None,
    others: Sequence[Path] = (),
    new_head: bool = False,
) -> tuple[Task, dict[str, str]]:
    """The stage's task, and the digests of the weights that it starts from."""
    parents: dict[str, str] = {}
    if isinstance(stage, GuardStage):
        return _guard_task(stage, images, seed, purifier, classifier, others)
    if isinstance(stage, MagNetStage):
        if purifier is not None or classifier is None:
            raise ConfigError("the magnet stage stands before a classifier; give its weights alone")
        kept = _kept(classifier)
        _require_classes(kept, images, classifier)
        with seeding.initialising(seed, "magnet"):
            net = MagNet(kept, stage.channels, stage.detect)
        return MagNetTask(stage, net), {"classifier": weights_digest(kept)}
    if isinstance(stage, HGDStage):
        return _hgd_task(stage, images, seed, purifier, classifier, others)
    if others:
        raise ConfigError("only guard and hgd take several classifiers; give one")
    if isinstance(stage, PurifierStage):
        if classifier is not None:
            raise ConfigError("the purifier stage trains a purifier alone; give no classifier")
        return PurifierTask(stage, _purifier(stage.purifier, seed, purifier, parents)), parents
    if isinstance(stage, DiffusionStage):
        if purifier is not None or classifier is not None:
            raise ConfigError("a DiffusionStage starts from scratch; give it no weights")
        with seeding.initialising(seed, "diffusion"):
            return DiffusionTask(Diffusion(stage.diffusion)), parents
    if classifier is None:
        with seeding.initialising(seed, "classifier"):
            head: Trainable = ResNetLite(stage.classifier)
    else:
        head = _trainable(classifier)
        parents["classifier"] = weights_digest(head)
        if new_head:
            with seeding.initialising(seed, "head"):
                head.with_new_head(len(images.classes))
    _require_classes(head, images, classifier)
    if isinstance(stage, CertifiedStage):
        if purifier is not None:
            raise ConfigError("the certified stage trains a classifier alone; give no purifier")
        return CertifiedTask(stage, head), parents
    perturb = perturbation(stage.adversary)
    if purifier is None:
        if isinstance(stage, JointStage):
            raise ConfigError("the joint stage fine-tunes a purifier too; give its weights")
        model = InputNoise(head, stage.input_noise) if stage.input_noise else head
        return ClassifierTask(stage, model, perturb), parents
    if stage.input_noise:
        raise ConfigError(
            f"input_noise is {stage.input_noise}, and a purifier is given; noise goes to the "
            "input or to the latent: leave one of them out"
        )
    front = purifier if isinstance(purifier, Purifier) else load_kind(purifier, Purifier)
    parents["purifier"] = weights_digest(front)
    behind = Defended(head, front)
    if isinstance(stage, JointStage):
        return JointTask(stage, behind, perturb), parents
    behind.purifier.requires_grad_(False)
    return ClassifierTask(stage, behind, perturb), parents


def _trainable(classifier: Path | Trainable) -> Trainable:
    """The classifier that a training starts from.

    Raises:
        CheckpointError: it is of a kind that cannot be trained, or has no gradient.
    """
    head = load(classifier) if isinstance(classifier, Path) else classifier
    if not isinstance(head, ResNetLite | Referenced) or not head.differentiable:
        raise CheckpointError(
            f"{classifier} holds a {type(head).__name__}, which cannot be trained; give the "
            "weights of a ResNetLite, or a reference to a classifier with gradients"
        )
    if isinstance(head, Referenced):
        head.retrained = True
    return head


def _purifier(
    config: PurifierConfig,
    seed: int,
    given: Path | Purifier | None,
    parents: dict[str, str],
) -> Purifier:
    """The purifier to start from, whose digest is noted in ``parents``, or a new one."""
    if given is None:
        with seeding.initialising(seed, "purifier"):
            return Purifier(config)
    front = given if isinstance(given, Purifier) else load_purifier(given)
    parents["purifier"] = weights_digest(front)
    return front


def _hgd_task(
    stage: HGDStage,
    images: Images,
    seed: int,
    purifier: Path | Purifier | None,
    classifier: Path | Trainable | None,
    others: Sequence[Path],
) -> tuple[Task, dict[str, str]]:
    if purifier is not None or classifier is None:
        raise ConfigError("the hgd stage stands before a classifier; give its weights, no purifier")
    paths = (classifier, *others)
    sources = [_kept(path) for path in paths]
    for head, path in zip(sources, paths, strict=True):
        _require_classes(head, images, path)
    with seeding.initialising(seed, "hgd"):
        model = HGD(_kept(classifier), stage.width)
    digests = [weights_digest(each) for each in sources]
    parents = {"classifier": digests[0]}
    parents |= {f"source-{number}": each for number, each in enumerate(digests[1:], 1)}
    return HGDTask(stage, model, sources, iterated), parents


def _kept(classifier: Path | Trainable) -> Trainable:
    """A classifier that stays as it is."""
    return load_kind(classifier, ResNetLite) if isinstance(classifier, Path) else classifier


def _guard_task(
    stage: GuardStage,
    images: Images,
    seed: int,
    purifier: Path | Purifier | None,
    classifier: Path | Trainable | None,
    others: Sequence[Path],
) -> tuple[Task, dict[str, str]]:
    if classifier is None:
        raise ConfigError("the guard stage trains a purifier before a classifier; give its weights")
    parents, heads = {}, []
    for number, path in enumerate((classifier, *others)):
        head = load_classifier(path) if isinstance(path, Path) else path
        _require_classes(head, images, path)
        if not head.differentiable:
            raise ConfigError(
                f"{path} has no gradient, through which a guard is trained; give the classifier "
                "as weights, timm:NAME or FILE.pt2"
            )
        parents[f"classifier-{number}" if number else "classifier"] = weights_digest(head)
        heads.append(head)
    front = _purifier(stage.purifier, seed, purifier, parents)
    steps = stage.optim.steps(len(images))
    return GuardTask(
        stage, with_noise(front, stage.sigma), heads, growing(stage.adversary), steps
    ), parents


def _require_classes(head: Defence, images: Images, weights: object) -> None:
    """Refuse images whose classes are others than the classifier's, or all the same.

    Raises:
        ConfigError: see above; the message has both.
    """
    there = len(images.classes)
    if isinstance(head, ResNetLite):
        count = head.config.classes
    else:
        with torch.no_grad():
            count = head.predict(images.batch(torch.arange(1))[0], seeding.entropy(), 1).shape[1]
    if weights is not None and count != there:
        raise ConfigError(
            f"the classifier tells {count} classes apart, and {images.name} has {there}: give a "
            "classifier of these, or replace its last layer with --new_head, or new_head=True"
        )
    if weights is None and count != there:
        raise ConfigError(
            f"classifier.classes of the stage is {count}, but {images.name} has {there}; set it "
            f"to {there}"
        )
    require_same_classes(head, images, count)
    if len(set(images.labels.tolist())) < 2:
        raise ConfigError(
            f"all {len(images)} training images of {images.name} are of one class, on which every "
            "classifier is right; give images of two classes or more"
        )


def _warnings(stage: Stage, images: Images) -> list[str]:
    """What is doubtful about the training images, in sentences."""
    missing = set(range(len(images.classes))) - set(images.labels.tolist())
    if isinstance(stage, HEADLESS) or not missing:
        return []
    named = ", ".join(images.classes[label] for label in sorted(missing))
    return [f"{images.name} has no training image of {named}: the classifier cannot learn them"]


_RECORD = {
    "steps": int,
    "seconds": (int, float),
    "images_per_second": (int, float),
    "parameters": int,
    "curve": {"*": [(int, float)]},
}
"""What the record of a finished training has to hold for its readers."""


def _finished(weights: Path, record_path: Path, key: str, like: nn.Module) -> Trained:
    """What a finished training left; a classifier of somebody else's is built as in ``like``."""
    record = read_json(record_path, CheckpointError)
    seeding.require_same(record, record_path)
    if record.get("key") != key:
        raise CheckpointError(
            f"{record_path.parent} holds a finished training with other settings; "
            "give another folder, or delete that one"
        )
    require_shape(record, _RECORD, str(record_path), CheckpointError, "train again")
    inside = next(iter(references_of(like).values()), None)
    model = load_model(weights, inside)
    if weights_digest(model) != record.get("weights_digest"):
        raise CheckpointError(
            f"{weights} is not what {record_path} describes; delete the folder to train again"
        )
    return Trained(model, weights, record)


def thin(history: dict[str, list[float]], points: int) -> dict[str, list[float]]:
    """Means over at most ``points`` equal intervals, with the ``step`` at which each ends."""
    count = len(next(iter(history.values()), []))
    ends = [round(count * (i + 1) / points) for i in range(points)] if count > points else None
    edges = [0, *(ends or range(1, count + 1))]
    spans = list(pairwise(edges))
    curve: dict[str, list[float]] = {"step": [float(high) for _, high in spans]}
    for name, values in history.items():
        curve[name] = [sum(values[low:high]) / (high - low) for low, high in spans]
    return curve


def in_brief(scalars: Mapping[str, float]) -> str:
    """The scalars of a step that tell how a training goes, for a progress display."""
    shown = [name for name in ("loss", "accuracy", "sigma") if name in scalars]
    return "  ".join(f"{name} {scalars[name]:.3f}" for name in shown)

"""A stage's settings and images in, weights and their record out."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from alp import seeding
from alp.config import EngineConfig, digest, to_dict
from alp.data import Images
from alp.defences.base import Defence, Model
from alp.defences.checkpoint import load_model, not_finite, save, weights_digest
from alp.defences.packaged import require_classifier
from alp.defences.referenced import references_of
from alp.defences.trainable import Trainable
from alp.errors import AlpError, CheckpointError, TrainingError, install
from alp.executors import is_first_process
from alp.files import exists, expanded, read_json, require_shape, require_writable, write_json
from alp.training.base import Start, build_task
from alp.training.stages import Stage
from alp.training.trackers import open_trackers, require_trackers
from alp.version import __version__

POINTS = 200
"""Points of a training's curves in its record."""


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
    purifier: Path | Model | None = None,
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
        purifier: weights of the purifier, or of a defended classifier that has it: in front of the
            classifier (classifier, joint), or to start from (purifier, guard, denoiser). In front
            of a classifier any defence that transforms the image will do, such as JPEG.
        classifier: weights to start from (classifier, joint), or the frozen classifier (guard,
            denoiser).
        new_head: whether the last layer of the classifier is replaced by a fresh one for the
            classes of the images (classifier, joint, certified).
        others: further frozen classifiers, which share the images of each step (guard,
            denoiser).
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
        raise AlpError(f"training needs lightning_fabric: {install('train')}")
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
    start = Start(images, seed, purifier, classifier, tuple(others), validation, new_head)
    task = build_task(stage, start)
    settings = {
        "stage": type(stage).__name__,
        "settings": to_dict(stage),
        "data": images.name,
        "split": images.split,
        "data_digest": images.digest,
        "seed": seed,
        **seeding.recorded(),
        "parents": start.parents,
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
    found = task.doubts(progress.history)
    for doubt in found:
        warnings.warn(doubt, stacklevel=2)
    doubts += found
    if (fault := not_finite(model.state_dict())) is not None:
        raise TrainingError(
            f"after the last step {fault}; lower optim.lr, set optim.clip, or train with "
            "engine.precision=32-true"
        )
    if model.classifies:
        model.classes = images.classes
    task.finish(model)
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


def _warnings(stage: Stage, images: Images) -> list[str]:
    """What is doubtful about the training images, in sentences."""
    missing = set(range(len(images.classes))) - set(images.labels.tolist())
    if not stage.trains_classifier or not missing:
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

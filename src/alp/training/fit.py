"""Any classifier trained in one call: standard, adversarial, behind a purifier, or for votes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from torch import nn

from alp.config import EngineConfig, FrameConfig, from_dict, require_number, to_dict
from alp.data.images import require_data
from alp.defences.base import Defence, Model
from alp.defences.packaged import load
from alp.defences.referenced import trainable_copy
from alp.defences.smoothed import base_of
from alp.defences.trainable import require_trainable
from alp.errors import ConfigError, choose
from alp.progress import on_terminal
from alp.training.adapting import adapted
from alp.training.recipes import recipe
from alp.training.stages import Stage

if TYPE_CHECKING:
    from alp.data.images import Images

METHODS = {
    "standard": "standard",
    "adversarial": "adversarial",
    "purified": "adversarial-purified",
    "joint": "joint",
    "certified": "certified",
}
"""What a classifier is trained for, and the recipe whose settings that has."""


def fit(
    classifier: nn.Module | str | Path,
    images: Images,
    method: str = "adversarial",
    *,
    purifier: Model | str | Path | None = None,
    folder: str | Path | None = None,
    epochs: float | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    eps: float | None = None,
    norm: str | None = None,
    sigma: float | None = None,
    new_head: bool = False,
    seed: int = 0,
    engine: EngineConfig | None = None,
    report: Callable[[int, int, dict[str, float]], None] | None = None,
) -> Defence:
    """Train a copy of ``classifier`` further, and give it back in evaluation mode, on the CPU.

    The settings are those of the recipe at scale ``cpu``, fitted to the number of images and their
    size (:func:`alp.training.adapting.adapted`), unless they are given.

    Args:
        classifier: a module from images (B,3,H,W) in [0,1] to logits (B,K), a weights file, a
            packaged name, or a reference. It stays as it is.
        images: the training images.
        method: ``standard``; ``adversarial`` (N-FGSM, de Jorge et al. 2022); ``purified``: the
            same behind a purifier that stays as it is; ``joint``: both together; ``certified``:
            for votes under noise (Jeong and Shin 2020).
        purifier: in front of the classifier (purified, joint), by default the packaged one; of
            purified, also a defence that transforms the image, such as JPEG.
        folder: for ``weights.safetensors``, ``training.json`` and checkpoints, from which an
            interrupted call goes on; without it nothing is kept.
        epochs: passes over the images.
        batch_size: images a step.
        lr: peak learning rate.
        eps: radius of the threat, on images in [0,1].
        norm: of the threat, ``linf`` or ``l2``.
        sigma: standard deviation of the noise on the pixels (certified).
        new_head: whether the last layer is replaced by a fresh one for the classes of ``images``.
        seed: of all randomness.
        engine: where and how it runs.
        report: called after each step with (finished steps, all steps, scalars of the step); by
            default a bar on stderr where that is a terminal.

    Raises:
        UnknownNameError: no such method.
        ConfigError: a setting cannot be used, or classifier and images have other classes.
        AlpError: the classifier cannot be loaded, or the training engine is not installed.
    """
    from alp.training.train import train

    require_data(images)
    _require_kinds(classifier, folder, new_head, engine, report)
    require_number("seed", seed, whole=True)
    needs_purifier = method in ("purified", "joint")
    usual = recipe(choose(METHODS, method, "method"), "cpu").stage
    _require_fit(method, eps, norm, sigma, purifier)
    size = (images.images.shape[2], images.images.shape[3])
    changes = {
        "optim.epochs": epochs,
        "optim.batch_size": batch_size,
        "optim.lr": lr,
        "adversary.eps": eps,
        "adversary.norm": norm,
        "sigma": sigma,
    }
    stage = _changed(adapted(usual, len(images), size), changes)
    head = (
        trainable_copy(classifier, FrameConfig(*size))
        if isinstance(classifier, nn.Module)
        else require_trainable(base_of(load(classifier)), str(classifier))
    )
    front = purifier
    if needs_purifier and front is None:
        front = "cifar10-lite/purifier"

    def run(place: Path) -> Defence:
        with on_terminal(None) as show:
            return trained(place, report or (lambda step, steps, each: show("fit", step, steps)))

    def trained(place: Path, told: Callable[[int, int, dict[str, float]], object]) -> Defence:
        return train(
            stage,
            place,
            images,
            seed=seed,
            engine=engine,
            purifier=Path(front) if isinstance(front, str) else front,
            classifier=head,
            new_head=new_head,
            report=told,
        ).defence

    if folder is not None:
        return run(Path(folder))
    with TemporaryDirectory() as place:
        return run(Path(place))


def _changed(stage: Stage, changes: Mapping[str, object]) -> Stage:
    """``stage`` with other values of dotted names, those that are not None."""
    values = to_dict(stage)
    for name, value in changes.items():
        part, _, field = name.rpartition(".")
        if value is not None:
            (values[part] if part else values)[field] = value
    return from_dict(type(stage), values)


def _require_kinds(
    classifier: object, folder: object, new_head: object, engine: object, report: object
) -> None:
    """Refuse what is of another type than it has to be.

    Raises:
        ConfigError: so it is.
    """
    if not isinstance(classifier, nn.Module | str | Path):
        raise ConfigError(
            f"the classifier is a {type(classifier).__name__}; give a torch module, or a weights "
            "file, packaged name or reference as text"
        )
    if not isinstance(folder, str | Path | None):
        raise ConfigError(f"the folder is {folder!r}; give a path, or none")
    if not isinstance(new_head, bool):
        raise ConfigError(f"new_head is {new_head!r}; give True or False")
    if not isinstance(engine, EngineConfig | None):
        raise ConfigError(f"the engine is {engine!r}; give an alp.config.EngineConfig, or none")
    if report is not None and not callable(report):
        raise ConfigError(
            f"report is {report!r}; give a function of (finished steps, all steps, scalars)"
        )


def _require_fit(
    method: str,
    eps: float | None,
    norm: str | None,
    sigma: float | None,
    purifier: object,
) -> None:
    """Refuse settings that the method does not have.

    Raises:
        ConfigError: so it is.
    """
    foreign = {
        "eps": eps is not None and method in ("standard", "certified"),
        "norm": norm is not None and method in ("standard", "certified"),
        "sigma": sigma is not None and method != "certified",
        "purifier": purifier is not None and method not in ("purified", "joint"),
    }
    for name, wrong in foreign.items():
        if wrong:
            raise ConfigError(f"the method {method!r} has no {name}; leave it out")
    if eps is not None:
        require_number("eps", eps, 0, above=True)

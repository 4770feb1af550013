"""Any classifier trained in one call: standard, adversarial, behind a purifier, or for votes."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

from torch import nn

from alp.config import EngineConfig, FrameConfig, require_number
from alp.data.images import require_data
from alp.defences.base import Defence
from alp.defences.classifier import ResNetLite
from alp.defences.packaged import load
from alp.defences.purifier import Purifier
from alp.defences.referenced import Referenced, of_module
from alp.errors import ConfigError, choose
from alp.progress import on_terminal
from alp.training.adapting import adapted
from alp.training.recipes import recipe
from alp.training.stages import AdversaryConfig, CertifiedStage, ClassifierStage

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
    purifier: Purifier | str | Path | None = None,
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
        purifier: in front of the classifier (purified, joint), by default the packaged one.
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
    needs_purifier = method in ("purified", "joint")
    stage = recipe(choose(METHODS, method, "method"), "cpu").stage
    assert isinstance(stage, ClassifierStage | CertifiedStage)
    stage = cast(
        "ClassifierStage | CertifiedStage",
        adapted(stage, len(images), (images.images.shape[2], images.images.shape[3])),
    )
    given = {"epochs": epochs, "batch_size": batch_size, "lr": lr}
    optim = replace(
        stage.optim,
        **{name: value for name, value in given.items() if value is not None},  # type: ignore[arg-type]
    )
    stage = replace(stage, optim=optim)
    if isinstance(stage, CertifiedStage):
        stage = replace(stage, sigma=stage.sigma if sigma is None else sigma)
    else:
        stage = replace(stage, adversary=_adversary(stage.adversary, eps, norm))
    _require_fit(method, eps, norm, sigma, purifier)
    head = _head(classifier, images)
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
            purifier=front if front is None or isinstance(front, Purifier) else Path(front),
            classifier=head,
            new_head=new_head,
            report=told,
        ).defence

    if folder is not None:
        return run(Path(folder))
    with TemporaryDirectory() as place:
        return run(Path(place))


def _adversary(adversary: AdversaryConfig, eps: float | None, norm: str | None) -> AdversaryConfig:
    changed = {"eps": eps, "norm": norm}
    return replace(adversary, **{key: each for key, each in changed.items() if each is not None})  # type: ignore[arg-type]


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


def _head(classifier: nn.Module | str | Path, images: Images) -> ResNetLite | Referenced:
    """The classifier as one of alp's, a copy."""
    if not isinstance(classifier, nn.Module):
        loaded = load(classifier)
    elif isinstance(classifier, ResNetLite | Referenced):
        loaded = deepcopy(classifier)
    elif isinstance(classifier, Defence):
        raise ConfigError(
            f"the classifier is a {type(classifier).__name__}; give the classifier inside, such as "
            "defended.classifier"
        )
    else:
        frame = FrameConfig(images.images.shape[2], images.images.shape[3])
        loaded = of_module(deepcopy(classifier).eval(), frame)
    if not isinstance(loaded, ResNetLite | Referenced) or not loaded.differentiable:
        raise ConfigError(
            f"{classifier} holds a {type(loaded).__name__}, which cannot be trained; give a "
            "module, or a reference to one with gradients"
        )
    return loaded

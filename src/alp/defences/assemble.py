"""A defence by its name, from models that are trained already."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

from torch import nn

from alp.defences.base import DEFENCES, Defence
from alp.defences.classes import require_fixed
from alp.defences.diffusion import Diffusion
from alp.defences.purifier import Purifier
from alp.defences.smoothed import base_of
from alp.defences.unified import UnifiedLatents
from alp.errors import ConfigError, choose

MODELS = {
    "classifier": "classifier",
    "light": "light classifier",
    "purifier": "purifier",
    "diffusion": "diffusion model",
    "latents": "model of unified latents",
}
"""Arguments of a defence that are models, in this order, and what they are called."""


def assemblable() -> list[str]:
    """The names of the defences that are made of a classifier, or of one and another model, without
    a training of their own."""
    return [name for name, kind in DEFENCES.items() if _models(kind)]


def made_of(*models: str) -> list[str]:
    """The names of the defences that are made of these of ``MODELS`` and nothing else."""
    return [name for name, kind in DEFENCES.items() if _models(kind) == models]


def assemble(
    name: str,
    classifier: nn.Module,
    diffusion: Diffusion | None = None,
    settings: Mapping[str, Any] | None = None,
    purifier: Purifier | None = None,
    light: nn.Module | None = None,
    latents: UnifiedLatents | None = None,
) -> Defence:
    """The registered defence ``name`` in front of ``classifier``, in evaluation mode.

    Args:
        classifier: images (B,3,H,W) in [0,1] -> logits (B,K). Of a :class:`Smoothed` one, such as
            a packaged certified one, the base is taken, and of ``light`` too: its noise is that of
            the votes, which :func:`alp.certify` draws. Of a random model of this very defence the
            classifier in it is taken: the settings are what changes.
        diffusion: the noise predictor of the defences by diffusion.
        settings: what else its constructor takes, by name.
        purifier: of the defence by one, ``defended``.
        light: the cheaper classifier of a ``cascade``.
        latents: encoder and decoder of ``unified``.

    Raises:
        UnknownNameError: no such defence.
        ConfigError: it is not made so, a model is missing or too many, or a setting cannot be used.
    """
    kind = choose({each: DEFENCES[each] for each in assemblable()}, name, "defence to assemble")
    classifier = base_of(classifier)
    if isinstance(classifier, kind) and classifier.stochastic:
        classifier = classifier.get_submodule("classifier")
    models: list[nn.Module] = [classifier]
    light = None if light is None else base_of(light)
    given = {"light": light, "purifier": purifier, "diffusion": diffusion, "latents": latents}
    for part, model in given.items():
        words = MODELS[part]
        if model is not None and part not in _models(kind):
            raise ConfigError(f"{name!r} is made without a {words}; leave the {words} out")
        if model is None and part in _models(kind):
            stage = {"light": "certified", "latents": "unified"}.get(part, part)
            raise ConfigError(
                f"{name!r} needs a {words}; train one with 'alp train {stage}', and give its "
                f"weights with --{part}"
            )
        models += [] if model is None else [model]
    require_fixed(classifier, f"the classifier of {name!r}")
    valid = list(signature(kind).parameters)[len(models) :]
    for each in settings or {}:
        if each not in valid:
            raise ConfigError(
                f"{name!r} has no setting {each!r}; choose among: {', '.join(valid) or 'none'}"
            )
    return kind(*models, **(settings or {})).eval()


def _models(kind: type[Defence]) -> tuple[str, ...]:
    """Which of ``MODELS`` a defence is made of; none where it needs something else, such as a
    training."""
    parameters = signature(kind).parameters
    found = tuple(each for each in MODELS if each in parameters)
    needed = tuple(name for name, each in parameters.items() if each.default is each.empty)
    alone = found == ("classifier",)
    return () if needed != found or (alone and kind.trained) else found

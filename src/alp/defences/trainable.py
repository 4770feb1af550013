"""Classifiers that can be trained further, with a head for other classes where it is asked for."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from alp.defences.base import Deterministic, channels_last, classify
from alp.errors import CheckpointError, ConfigError


class Trainable(Deterministic):
    """A classifier that can be trained further, where it has a gradient."""

    def begin_training(self) -> None:
        """Note that its weights are about to change."""

    @abstractmethod
    def with_new_head(self, classes: int) -> None:
        """Replace the last layer by a fresh one, in place; its weights come from torch's global
        generator.

        Raises:
            ConfigError: it has no such layer.
        """


def require_trainable(model: nn.Module, name: str) -> Trainable:
    """``model``, called ``name``, if it can be trained; else a CheckpointError."""
    if not isinstance(model, Trainable) or not model.differentiable:
        raise CheckpointError(
            f"{name} holds a {type(model).__name__}, which cannot be trained; give the weights of "
            "a ResNetLite, or a module with gradients or a reference to one"
        )
    return model


def learns(model: Trainable, x: Tensor) -> bool:
    """Whether the logits of images (B,3,H,W) have a gradient by the weights of ``model``."""
    with torch.enable_grad():
        return classify(model, x).requires_grad


def leads_through(model: nn.Module, x: Tensor) -> bool:
    """Whether the logits of images (B,3,H,W) have a gradient by the images."""
    point = x.clone().requires_grad_()
    with torch.enable_grad():
        logits = classify(model, point)
    if not logits.requires_grad:
        return False
    return torch.autograd.grad(logits.sum(), point, allow_unused=True)[0] is not None


def replace_head(classifier: nn.Module, classes: int) -> None:
    """Replace the last linear layer, or 1 x 1 convolution, of ``classifier`` in place. Its weights
    come from torch's global generator, so that they are made inside ``seeding.initialising``.

    Raises:
        ConfigError: it has no such layer.
    """
    layers = [
        (name, module)
        for name, module in classifier.named_modules()
        if isinstance(module, nn.Linear)
        or (isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1))
    ]
    if not layers:
        raise ConfigError(
            f"{type(classifier).__name__} has no last linear layer that could be replaced; build "
            f"it with {classes} outputs, and leave new_head out"
        )
    name, last = layers[-1]
    parent, _, own = name.rpartition(".")
    if not name:
        raise ConfigError(f"{type(classifier).__name__} is its own head; build another one")
    new: nn.Module
    if isinstance(last, nn.Linear):
        new = nn.Linear(last.in_features, classes, last.bias is not None)
    else:
        new = nn.Conv2d(last.in_channels, classes, 1, bias=last.bias is not None)
    setattr(classifier.get_submodule(parent), own, channels_last(new).to(last.weight.dtype))

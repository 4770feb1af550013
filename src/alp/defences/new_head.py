"""A head for other classes: the last layer of a classifier is replaced by a fresh one."""

from __future__ import annotations

from torch import nn

from alp.defences.base import channels_last
from alp.errors import ConfigError


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

"""Names of classes belong to weights and to data, and are compared where the two meet."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from alp import seeding
from alp.defences.base import Defence
from alp.defences.classifier import ResNetLite
from alp.errors import ConfigError

_SHOWN = 12


class Labelled(Protocol):
    """Data with labels, such as :class:`alp.data.Images`."""

    @property
    def name(self) -> str: ...

    @property
    def classes(self) -> tuple[str, ...]: ...


def require_fixed(model: Any, name: str) -> None:
    """Refuse a classifier, called ``name``, that draws noise of its own, where a defence around it
    could not give it the source of its draws.

    Raises:
        ConfigError: it is one.
    """
    if isinstance(model, Defence) and model.stochastic:
        raise ConfigError(
            f"{name} is a defence already, one that draws noise of its own "
            f"({type(model).__name__}); give the classifier in it"
        )


def require_same_classes(model: Any, data: Labelled, count: int | None = None) -> None:
    """Refuse data whose labels mean something else than the model's logits.

    Args:
        model: a defence, whose class names are compared where they are known. What is no defence
            has none.
        data: the labelled images that it is trained or evaluated on.
        count: the number of logits K, where it is known.

    Raises:
        ConfigError: the names, their order or their number differ; the message has both.
    """
    names = model.classes if isinstance(model, Defence) else None
    if count is not None and count != len(data.classes):
        raise ConfigError(
            f"the model tells {count} classes apart{_listed(names)}, and {data.name} has "
            f"{len(data.classes)}{_listed(data.classes)}: give data of the classes that the model "
            "was trained on, or a model of these"
        )
    if names is None or names == tuple(data.classes):
        return
    if set(names) == set(data.classes):
        place = next(k for k, name in enumerate(names) if name != data.classes[k])
        raise ConfigError(
            f"the model and {data.name} have the same classes in another order (number {place} is "
            f"{names[place]!r} for the model and {data.classes[place]!r} in the data): give data "
            f"with the order{_listed(names)}"
        )
    raise ConfigError(
        f"the model was trained on the classes{_listed(names)}, and {data.name} has"
        f"{_listed(data.classes)}: give data of the same classes, or rename them"
    )


def count_classes(model: Defence, image: Tensor) -> int:
    """The number of logits K; ``image`` (1,3,H,W) is for a model that does not say it itself."""
    if isinstance(model, ResNetLite):
        return model.config.classes
    with torch.no_grad():
        return model.predict(image, seeding.entropy(), 1).shape[1]


def _listed(names: tuple[str, ...] | None) -> str:
    if names is None:
        return ""
    more = ", ..." if len(names) > _SHOWN else ""
    return f" ({', '.join(names[:_SHOWN])}{more})"

"""The classifier inside a saved defence: one of alp's, one that a reference names, or a defence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from alp.config import ClassifierConfig, from_dict, to_dict
from alp.defences.architectures import Network, classifier_by
from alp.defences.base import Defence
from alp.defences.classifier import ResNetLite
from alp.defences.preprocessed import built
from alp.defences.referenced import Referenced
from alp.errors import ConfigError


def describe_head(head: nn.Module) -> dict[str, Any]:
    """What a weights file says of a classifier, under the key of its kind.

    Raises:
        ConfigError: it is neither one of alp's nor named by a reference.
    """
    if isinstance(head, ResNetLite | Network):
        return {"classifier": to_dict(head.config)}
    if isinstance(head, Referenced):
        return {"reference": head.describe()}
    if isinstance(head, Defence):
        return {"defence": head.describe()}
    raise ConfigError(
        f"a classifier of type {type(head).__name__} cannot be saved by alp; name it by a "
        "reference, such as alp.load('my_file.py:make_classifier'), or save it yourself, and a "
        "purifier alone with alp.save(defended.purifier, path)"
    )


def head_of(description: Mapping[str, Any]) -> Defence:
    """The untrained classifier that :func:`describe_head` described, or the place for it."""
    if "reference" in description:
        return Referenced.from_description(description["reference"])
    if "defence" in description:
        return built(description["defence"])
    return classifier_by(from_dict(ClassifierConfig, description["classifier"]))

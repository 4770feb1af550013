"""The tensor in what a classifier answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from alp.errors import ConfigError


def tensor_of(answer: Any) -> Tensor:
    """The tensor that ``answer`` is, or the ``logits`` of an object or mapping, as the models of
    transformers give.

    Raises:
        ConfigError: there is none.
    """
    if isinstance(answer, Mapping):
        answer = answer.get("logits", answer)
    elif not isinstance(answer, Tensor):
        answer = getattr(answer, "logits", answer)
    if not isinstance(answer, Tensor):
        raise ConfigError(
            f"the target answers a {type(answer).__name__}; give a callable to a tensor of logits, "
            "such as lambda x: model(x)[0]"
        )
    return answer

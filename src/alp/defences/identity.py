"""By what a model is known: the digest of its weights, and where it was loaded from.

Another process or machine loads it from there, and need not be sent its weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


def tensors_digest(tensors: dict[str, Tensor]) -> str:
    """sha256 (hex) over names, types, shapes and bytes, in the order of the names."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        sha.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        # reshape: a scalar cannot be viewed as bytes
        sha.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def weights_digest(model: torch.nn.Module) -> str:
    """sha256 (hex) of all parameters and buffers."""
    return tensors_digest(model.state_dict())


@dataclass(frozen=True)
class ModelOrigin:
    """A weights file, or the name of a packaged model, and what is in it."""

    place: str
    """Whole path, or name."""
    digest: str
    """sha256 of the weights."""
    description: Mapping[str, Any] = field(repr=False)
    """The architecture and the names of the classes."""
    draws: int = 1
    """Draws of the deployed prediction."""

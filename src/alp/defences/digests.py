"""Digests by which weights are known."""

from __future__ import annotations

import hashlib

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

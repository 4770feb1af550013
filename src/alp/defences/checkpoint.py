"""Models on disk: safetensors with the architecture and a digest in the header. No pickle.

The bytes of a file are a function of what is stored in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor

from alp.config import digest
from alp.defences.base import DEFENCES, PURIFIERS, Model, channels_last
from alp.errors import CheckpointError, ConfigError
from alp.files import write_atomically

_ALIGNMENT = 8  # bytes; the format pads its header with spaces, so that tensors start aligned


def write_tensors(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, str]) -> None:
    """Write contiguous CPU ``tensors`` with ``meta`` in the header, atomically.

    The same content gives the same bytes: safetensors itself puts the metadata of each file in an
    order of its own.
    """
    content = _sorted_header(serialised(dict(tensors), dict(meta)))
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def _sorted_header(content: bytes) -> bytes:
    """The same safetensors file (8 bytes of length, JSON, data), the names of its header sorted."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:start]), sort_keys=True).encode()
    header += b" " * (-len(header) % _ALIGNMENT)
    return len(header).to_bytes(8, "little") + header + content[start:]


FORMAT = "alp-model-1"
"""Name and version of the header; another one is refused."""


def build(description: dict[str, Any]) -> Model:
    """An untrained model of a described architecture.

    Raises:
        ConfigError: the description is not one that a model's ``describe`` gave.
    """
    kind = str(description.get("kind"))
    if kind in PURIFIERS:
        return PURIFIERS[kind].from_description(description)
    if kind in DEFENCES:
        return DEFENCES[kind].from_description(description)
    raise ConfigError(f"model kind is {kind!r}; it is one of: {', '.join([*PURIFIERS, *DEFENCES])}")


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


def save(model: Model, path: str | Path, *, half: bool = False) -> str:
    """Write ``model`` to ``path`` (safetensors), atomically; returns the digest of what is stored.

    The same model gives the same bytes.

    Args:
        half: store the kernels of convolutions and linear layers as float16. Biases, statistics
            and sigma stay as they are; all are float32 again when they are loaded.

    Raises:
        ConfigError: the classifier of a defended model is not one of alp's.
    """
    tensors = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in model.state_dict().items()
    }
    if half:
        kernels = {name for name, value in tensors.items() if value.ndim in (2, 4)}
        tensors |= {name: tensors[name].half() for name in kernels}
    weights = tensors_digest(tensors)
    description = json.dumps(model.describe())
    meta = {
        "format": FORMAT,
        "model": description,
        "digest": weights,
        "model_digest": digest(description),
    }
    write_tensors(Path(path), tensors, meta)
    return weights


def load_model(path: str | Path) -> Model:
    """Read a model, in evaluation mode, on the CPU. Nothing is unpickled.

    Raises:
        CheckpointError: the file is missing, damaged or not one of alp's models.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"there is no model file {path}; train one with 'alp train'")
    try:
        with safe_open(path, framework="pt") as file:
            meta = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); fetch or train it again") from error
    if meta.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not a model of alp (format {meta.get('format')!r}, not {FORMAT!r}); "
            "give a file that 'alp train' wrote"
        )
    described = digest(meta.get("model"))
    if tensors_digest(tensors) != meta.get("digest") or meta.get("model_digest") != described:
        raise CheckpointError(
            f"{path} is damaged: its content does not have the digests in its header; "
            "fetch or train it again"
        )
    try:
        model = build(json.loads(meta["model"]))
        model.load_state_dict(tensors)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise CheckpointError(f"{path} does not fit its description: {error}") from error
    return channels_last(model).eval()

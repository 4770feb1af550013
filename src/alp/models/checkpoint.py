"""Models on disk: safetensors with the architecture and a digest in the header. No pickle."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from alp.config import ClassifierConfig, PurifierConfig, digest, from_dict, to_dict
from alp.errors import CheckpointError, ConfigError
from alp.models.blocks import channels_last
from alp.models.classifier import ResNetLite
from alp.models.defended import Defended
from alp.models.input_noise import InputNoise
from alp.models.purifier import Purifier
from alp.tensors import write_tensors

Model = Purifier | ResNetLite | Defended | InputNoise

FORMAT = "alp-model-1"
"""Name and version of the header; another one is refused."""


def describe(model: Model) -> dict[str, Any]:
    """The architecture as plain values: enough to build the model again."""
    if isinstance(model, Purifier):
        return {"kind": "purifier", "config": to_dict(model.config)}
    if isinstance(model, ResNetLite):
        return {"kind": "classifier", "config": to_dict(model.config)}
    if not isinstance(model.classifier, ResNetLite):
        raise ConfigError(
            f"a classifier of type {type(model.classifier).__name__} cannot be saved by alp; "
            "save it yourself, and the purifier alone with save_model(defended.purifier, path)"
        )
    described = {"draws": model.draws, "classifier": to_dict(model.classifier.config)}
    if isinstance(model, InputNoise):
        return {"kind": "input-noise", "sigma": model.sigma, **described}
    return {"kind": "defended", "purifier": to_dict(model.purifier.config), **described}


def build(description: dict[str, Any]) -> Model:
    """An untrained model of a described architecture.

    Raises:
        ConfigError: the description is not one of ``describe``.
    """
    kind = description.get("kind")
    if kind == "purifier":
        return Purifier(from_dict(PurifierConfig, description["config"]))
    if kind == "classifier":
        return ResNetLite(from_dict(ClassifierConfig, description["config"]))
    if kind == "defended":
        return Defended(
            ResNetLite(from_dict(ClassifierConfig, description["classifier"])),
            Purifier(from_dict(PurifierConfig, description["purifier"])),
            description["draws"],
        )
    if kind == "input-noise":
        head = ResNetLite(from_dict(ClassifierConfig, description["classifier"]))
        return InputNoise(head, description["sigma"], description["draws"])
    raise ConfigError(
        f"model kind is {kind!r}; it is one of: purifier, classifier, defended, input-noise"
    )


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


def save_model(model: Model, path: str | Path, *, half: bool = False) -> str:
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
    description = json.dumps(describe(model))
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

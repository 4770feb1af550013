"""A training's state on disk: networks, averages, optimiser and progress, as safetensors."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from alp.config import digest
from alp.defences.checkpoint import tensors_digest, write_tensors
from alp.errors import CheckpointError
from alp.files import require_shape


@dataclass
class Progress:
    """How far a training is."""

    step: int = 0
    """Finished steps."""
    seconds: float = 0.0
    """Wall-clock seconds of all runs so far."""
    history: dict[str, list[float]] = field(default_factory=dict)
    """Each scalar of each finished step."""

    def add(self, scalars: dict[str, float]) -> None:
        """Note one more finished step."""
        self.step += 1
        for name, value in scalars.items():
            self.history.setdefault(name, []).append(value)


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, tuple[Tensor, str]]:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    return {
        f"optimizer.{index}.{key}": (parameter, key)
        for index, parameter in enumerate(parameters)
        for key in optimizer.state[parameter]
    }


def _digest(meta: dict[str, str], tensors: dict[str, Tensor]) -> str:
    """Of everything in the file, so that a flipped bit is no training of another kind."""
    rest = {name: value for name, value in meta.items() if name != "digest"}
    return digest([rest, tensors_digest(tensors)])


def save_state(
    path: Path,
    key: str,
    task: nn.Module,
    average: nn.Module | None,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
) -> None:
    """Write everything that a resumed training needs; ``key`` identifies its settings."""
    tensors = {f"task.{name}": value for name, value in task.state_dict().items()}
    if average is not None:
        tensors |= {f"average.{name}": value for name, value in average.state_dict().items()}
    for name, (parameter, entry) in _optimizer_tensors(optimizer).items():
        tensors[name] = optimizer.state[parameter][entry]
    # Contiguous clones: safetensors refuses shared storage and channels-last strides.
    contiguous = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in tensors.items()
    }
    meta = {
        "key": key,
        "step": str(progress.step),
        "seconds": repr(progress.seconds),
        "history": json.dumps(progress.history),
    }
    meta["digest"] = _digest(meta, contiguous)
    write_tensors(path, contiguous, meta)


def load_state(
    path: Path,
    key: str,
    task: nn.Module,
    average: nn.Module | None,
    optimizer: torch.optim.Optimizer,
) -> Progress:
    """Put a saved state back into freshly built objects, bit for bit.

    Raises:
        CheckpointError: the file is damaged, or belongs to other settings.
    """
    try:
        with safe_open(path, framework="pt") as file:
            meta = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if meta.get("key") != key:
            raise CheckpointError(
                f"{path} is the checkpoint of a training with other settings; "
                "give another folder, or delete it to start again (ALP_SEEDING is a setting too)"
            )
        if meta.get("digest") != _digest(meta, tensors):
            raise ValueError("its content does not have the digest in its header")
        history = json.loads(meta["history"])
        require_shape(history, {"*": [(int, float)]}, "history", CheckpointError, "train again")
        progress = Progress(int(meta["step"]), float(meta["seconds"]), history)
        for prefix, module in (("task.", task), ("average.", average)):
            if module is not None:
                own = {
                    k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)
                }
                module.load_state_dict(own)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, index, entry = name.split(".", 2)
                parameter = parameters[int(index)]
                if value.ndim and value.shape != parameter.shape:
                    raise ValueError(f"{name} has the shape {tuple(value.shape)}")
                if entry != "step":  # which AdamW keeps on the CPU
                    # The same device and strides as the parameter, as the optimiser made it.
                    value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
                optimizer.state[parameter][entry] = value
    except (
        SafetensorError,
        OSError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        RuntimeError,
    ) as error:
        raise CheckpointError(
            f"{path} is damaged ({error}); delete it to start that training again"
        ) from error
    return progress

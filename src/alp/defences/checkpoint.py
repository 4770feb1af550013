"""Models on disk: safetensors with the architecture and a digest in the header. No pickle.

The bytes of a file are a function of what is stored in it.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, final

import torch
from safetensors import SafetensorError
from safetensors.torch import load as deserialised
from safetensors.torch import save as serialised
from torch import Tensor
from torch.overrides import TorchFunctionMode

from alp.config import digest
from alp.defences.base import DEFENCES, PURIFIERS, Defence, Model, PurifierBase, channels_last
from alp.defences.identity import tensors_digest as tensors_digest
from alp.defences.identity import weights_digest as weights_digest
from alp.defences.referenced import Referenced, external_tensors, open_references, references_of
from alp.errors import CheckpointError, ConfigError
from alp.files import exists, write_atomically

_LONGEST = 100_000_000  # bytes of a header, by the format
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
    if not isinstance(description, dict):
        raise ConfigError(f"a description of a model is {str(description)[:80]!r}; give a mapping")
    kind = str(description.get("kind"))[:80]
    if kind in PURIFIERS:
        return PURIFIERS[kind].from_description(description)
    if kind in DEFENCES:
        return DEFENCES[kind].from_description(description)
    raise ConfigError(f"model kind is {kind!r}; it is one of: {', '.join([*PURIFIERS, *DEFENCES])}")


def save(model: Model, path: str | Path, *, half: bool = False) -> str:
    """Write ``model`` to ``path`` (safetensors), atomically; returns the digest of what is stored.

    Of a classifier that a reference names, the reference, what it needs and its digest are stored.
    The same model gives the same bytes. Class names are stored where the model has them. Weights
    are stored as float32, whatever the model computes in. Weights that are not finite are stored
    with a warning, for whoever looks for the reason: they cannot be loaded.

    Args:
        half: store the kernels of convolutions and linear layers as float16. Biases, statistics
            and sigma stay as they are; all are float32 again when they are loaded.

    Raises:
        ConfigError: the model, or the classifier of a defended one, is neither one of alp's nor
            named by a reference.
        OutputError: the file cannot be written.
    """
    if not isinstance(model, Defence | PurifierBase):
        raise ConfigError(
            f"a {type(model).__name__} is no model of alp's; give a defence or a purifier, or "
            "save it yourself"
        )
    state = model.state_dict()
    elsewhere = external_tensors(model, state)
    tensors = {
        name: _stored(value).cpu().clone(memory_format=torch.contiguous_format)
        for name, value in state.items()
        if name not in elsewhere
    }
    tensors = half_kernels(tensors) if half else tensors
    if (fault := not_finite(tensors)) is not None:
        warnings.warn(f"{path}: {fault}; what is saved cannot be loaded", stacklevel=2)
    weights = tensors_digest(tensors)
    description = json.dumps(model.describe())
    meta = {"format": FORMAT, "model": description, "digest": weights}
    if isinstance(model, Defence) and model.classes is not None:
        meta["classes"] = json.dumps(model.classes)
    write_tensors(Path(path), tensors, meta | {"model_digest": _model_digest(meta)})
    return weights


def half_kernels(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``tensors`` with the kernels of convolutions and linear layers as float16."""
    return {
        name: value.half() if value.is_floating_point() and value.ndim in (2, 4) else value
        for name, value in tensors.items()
    }


def _stored(value: Tensor) -> Tensor:
    return value.detach().float() if value.is_floating_point() else value.detach()


def _model_digest(meta: Mapping[str, str]) -> str:
    """sha256 (hex) of what a header says beside the tensors; files without class names have that
    of the description alone."""
    described, classes = meta.get("model"), meta.get("classes")
    return digest(described if classes is None else [described, classes])


def load_model(path: str | Path, classifier: str | Referenced | None = None) -> Model:
    """Read a model, in evaluation mode, on the CPU. Nothing is unpickled, and nothing large is
    allocated before the file is known to hold what its description asks for.

    Args:
        classifier: a reference to the classifier of a defended one, where the file's own does not
            lead to it, or leads to code; or the classifier itself.

    Raises:
        CheckpointError: the file is missing, damaged or not one of alp's models, its weights are
            not finite, or the classifier that it refers to is another one.
        AlpError: that classifier cannot be opened.
    """
    path = Path(path)
    if not exists(path):
        raise CheckpointError(
            f"there is no model file {str(path)[:300]}; train one with 'alp train'"
        )
    try:
        # Not by safe_open, which opens no file whose name is not UTF-8.
        with path.open("rb") as file:
            meta, shapes = _header(file)
            description = _description(path, meta)
            _require_fit(path, description, shapes)
            file.seek(0)
            tensors = deserialised(file.read())
    except (SafetensorError, OSError, ValueError, *_MALFORMED) as error:
        raise CheckpointError(f"{path} {_fault(path, error)}") from error
    if tensors_digest(tensors) != meta.get("digest"):
        raise CheckpointError(
            f"{path} is damaged: its content does not have the digests in its header; "
            "fetch or train it again"
        )
    model = _built(path, description)
    # A purifier alone stands before any classifier, which is not the file's to open.
    open_references(model, path, None if isinstance(model, PurifierBase) else classifier)
    elsewhere = external_tensors(model, model.state_dict())
    try:
        found = model.load_state_dict(tensors, strict=False)
        wrong = {*found.unexpected_keys, *found.missing_keys} - elsewhere
        if wrong:
            raise ValueError(f"{min(wrong)} is missing, or has no place in it")
        if isinstance(model, Defence) and "classes" in meta:
            model.classes = json.loads(meta["classes"])
    except _UNFIT as error:
        raise CheckpointError(f"{path} does not fit its description: {error}") from error
    require_finite(model, str(path))
    return channels_last(model).eval()


_MALFORMED = (LookupError, TypeError, AttributeError, RecursionError)
"""What reading a header raises that is JSON of another shape."""


def _header(file: BinaryIO) -> tuple[dict[str, str], dict[str, list[int]]]:
    """The metadata of a safetensors file, and the shapes of its tensors."""
    length = int.from_bytes(file.read(8), "little")
    if length > _LONGEST:
        raise ValueError(f"its header has {length} bytes")
    header = json.loads(file.read(length))
    meta = header.pop("__metadata__", {})
    return dict(meta.items()), {name: list(each["shape"]) for name, each in header.items()}


_UNFIT = (
    ValueError, LookupError, TypeError, AttributeError, RuntimeError, ArithmeticError, MemoryError
)  # fmt: skip
"""What building a model raises on a description that nobody's ``describe`` gave."""


def _description(path: Path, meta: Mapping[str, str]) -> Any:
    """The description in a header.

    Raises:
        CheckpointError: there is none, or the header is damaged.
    """
    if meta.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not a model of alp (format {meta.get('format')!r}, not {FORMAT!r}); "
            "give a file that 'alp train' wrote"
        )
    if meta.get("model_digest") != _model_digest(meta) or "model" not in meta:
        raise CheckpointError(
            f"{path} is damaged: its header does not have its own digest; fetch or train it again"
        )
    try:
        return json.loads(meta["model"])
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} does not fit its description: {error}") from error


def _built(path: Path, description: Any) -> Model:
    try:
        return build(description)
    except _UNFIT as error:
        raise CheckpointError(f"{path} does not fit its description: {error}") from error


@final
class _Unfilled(TorchFunctionMode):
    """Operations in place leave tensors without memory as they are: torch would import its
    compiler, which takes longer than everything else here, to fill them with nothing."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        filled = args[0] if args else kwargs.get("tensor")
        in_place = name.endswith("_") and not name.endswith("__")
        if in_place and isinstance(filled, Tensor) and filled.is_meta:
            return filled
        return func(*args, **kwargs)


def _require_fit(path: Path, description: Any, shapes: Mapping[str, list[int]]) -> None:
    """Raise a CheckpointError unless a file's tensors have the names and shapes of those of the
    described model, which is built without memory for its weights."""
    with torch.device("meta"), _Unfilled():
        model = _built(path, description)
    wanted = {name: list(value.shape) for name, value in model.state_dict().items()}
    # Of a classifier that is opened later, the shapes are seen then.
    later = tuple(f"{name}.module." if name else "module." for name in references_of(model))
    known = (name for name in wanted.keys() | shapes.keys() if not name.startswith(later))
    for name in sorted(known):
        if wanted.get(name) != shapes.get(name):
            raise CheckpointError(
                f"{path} does not fit its description, which asks for the shape "
                f"{wanted.get(name, 'of nothing')} of {name!r}, and the file holds "
                f"{shapes.get(name, 'nothing')} of that name; fetch or train it again"
            )


def not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """What is NaN or infinite among ``tensors``, in words; None where nothing is."""
    for name, value in tensors.items():
        if value.is_floating_point() and not (good := value.isfinite()).all():
            return f"{int((~good).sum())} of the {value.numel()} values of {name} are not finite"
    return None


def require_finite(model: Model, where: str) -> None:
    """Raise a CheckpointError if a parameter, a buffer or the noise level of ``model``, which is
    from ``where``, is NaN or infinite."""
    fault, sigma = not_finite(model.state_dict()), model.sigma
    if fault is None and sigma is not None and not math.isfinite(sigma):
        fault = f"its noise level is {sigma}"
    if fault is not None:
        raise CheckpointError(
            f"{where}: {fault}, as after a training that diverged; train it again with a smaller "
            "learning rate, or take an earlier file"
        )


_FOREIGN = {
    b"PK\x03\x04": "is a zip archive, as torch.save and numpy write them",
    b"\x80": "is a pickle",
    b"version https://git-lfs": "is a pointer of Git LFS and not the file: run 'git lfs pull'",
    b"<": "is a web page or XML: download the file itself",
    b"\x89HDF": "is an HDF5 file",
}
"""How files begin that people give as weights, and what they are."""


def _fault(path: Path, error: Exception) -> str:
    """What is wrong with a file that is no safetensors."""
    try:
        with path.open("rb") as file:
            begin = file.read(32)
            if begin[8:9] == b"{":  # what safetensors have there
                begin = b""
    except (OSError, ValueError) as reason:
        return f"cannot be read ({reason}); check its rights and its name"
    kind = next((words for start, words in _FOREIGN.items() if begin.startswith(start)), None)
    if kind is None:
        return f"is damaged ({error}); fetch or train it again"
    if begin.startswith((b"PK", b"\x80")):
        kind += (
            ", and nothing is unpickled here, since that can run any code: where you trust it, "
            "read it with PyTorch's loader and weights_only=True, and write the model with alp.save"
        )
    return f"{kind}; alp reads safetensors"

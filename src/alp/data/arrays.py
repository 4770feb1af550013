"""What is given as images and labels: looked at, and converted where nothing is lost."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from alp.errors import DataError

Array: TypeAlias = npt.NDArray[Any]

_PIXELS = "give uint8 (N,3,H,W), or floats in [0,1] to Images.from_arrays"
_LABELS = "give int64 (N,), positions in the class names, or any integers to Images.from_arrays"

_NEARNESS = 0.1
"""How far from a grey level a float pixel may be, in grey levels: half precision rounds by 0.07."""


def require_pixels(images: Any) -> None:
    """Raise a DataError unless ``images`` are uint8 (N,3,H,W) on the CPU."""
    _require_tensor(images, torch.uint8, "images", _PIXELS)
    shape = tuple(images.shape)
    if images.ndim == 4 and shape[1] != 3 and shape[3] == 3:
        raise DataError(
            f"images have the shape {shape}, channels last (NHWC); give (N,3,H,W): "
            "images.permute(0, 3, 1, 2), or transpose(0, 3, 1, 2) of an array"
        )
    if images.ndim == 3 or (images.ndim == 4 and shape[1] == 1):
        raise DataError(
            f"images have the shape {shape}, of grey images or of a single one; give (N,3,H,W): "
            "repeat the grey channel three times, or add the first axis with images[None]"
        )
    if images.ndim != 4 or shape[1] != 3 or 0 in shape[2:]:
        raise DataError(f"images have the shape {shape}; {_PIXELS}")


def require_labels(labels: Any, count: int, classes: tuple[str, ...]) -> None:
    """Raise a DataError unless ``labels`` are int64 (count,), positions in ``classes``."""
    if isinstance(labels, Tensor) and labels.ndim == 2:
        raise DataError(
            f"labels have the shape {tuple(labels.shape)}, as one-hot rows or scores have; give "
            "their positions, labels.argmax(1)"
        )
    _require_tensor(labels, torch.int64, "labels", _LABELS)
    if labels.ndim != 1:
        raise DataError(f"labels have the shape {tuple(labels.shape)}; {_LABELS}")
    if len(labels) != count:
        raise DataError(f"there are {count} images and {len(labels)} labels; give one for each")
    wrong = torch.nonzero((labels < 0) | (labels >= len(classes))).flatten()
    if len(wrong):
        place = int(wrong[0])
        raise DataError(
            f"label {int(labels[place])} of image {place} is no class ({len(wrong)} labels are out "
            f"of range); give 0 to {len(classes) - 1}, positions in the {len(classes)} class names"
        )


def _require_tensor(value: Any, kind: torch.dtype, what: str, wanted: str) -> None:
    if not isinstance(value, Tensor):
        raise DataError(f"{what} are of type {type(value).__name__}; {wanted}")
    if value.dtype != kind:
        raise DataError(f"{what} are {value.dtype}; {wanted}")
    if value.device.type != "cpu" or value.layout != torch.strided:
        raise DataError(f"{what} are on {value.device} ({value.layout}); give .cpu() of them")


def pixels_of(images: Any) -> Tensor:
    """A copy of images as a tensor: floats in [0,1] that are whole 255ths become uint8, everything
    else stays as it is.

    Raises:
        DataError: they are no array, or floats that cannot be grey levels.
    """
    array = _array(images, "images", _PIXELS)
    return _tensor(_levels(array) if array.dtype.kind == "f" else array, "images", _PIXELS)


def labels_of(labels: Any) -> Tensor:
    """A copy of labels as a tensor: integers of any type become int64, everything else stays as it
    is.

    Raises:
        DataError: they are no array.
    """
    array = _array(labels, "labels", _LABELS)
    if array.dtype.kind == "u":  # those beyond int64 are out of every range
        array = np.minimum(array, np.array(np.iinfo(np.int64).max, np.uint64))
    if array.dtype.kind in "iu":
        array = array.astype(np.int64)
    return _tensor(array, "labels", _LABELS)


def _array(value: Any, what: str, wanted: str) -> Array:
    """A tensor, an array or nested lists as an array."""
    try:
        if isinstance(value, Tensor):
            value = value.detach().cpu()
            value = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        kind = type(value).__name__
        raise DataError(f"{what} of type {kind} make no array ({reason}); {wanted}") from error


def _tensor(array: Array, what: str, wanted: str) -> Tensor:
    try:
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} are of type {array.dtype}; {wanted}") from error


def _levels(pixels: Array) -> Array:
    """Floats in [0,1] as uint8, where they are whole 255ths."""
    if not ((pixels >= 0) & (pixels <= 1)).all():
        raise DataError(
            "float images have values out of [0,1] or NaN; give uint8 for 0 to 255, and undo a "
            "normalisation, which belongs into the model"
        )
    levels = pixels.astype(np.float64) * 255
    whole = np.rint(levels)
    if (np.abs(levels - whole) > _NEARNESS).any():
        raise DataError(
            "float images have values between the 256 grey levels, which rounding would change; "
            "round them yourself where that is meant: (255 * images).round() as uint8"
        )
    return whole.astype(np.uint8)

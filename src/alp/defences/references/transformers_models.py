"""``hf:FOLDER_OR_ID``: a model of transformers for image classification."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from alp.config import FrameConfig
from alp.defences.references import REFERENCES, Found, Reference
from alp.errors import AlpError, CheckpointError, ConfigError, install
from alp.files import exists, expanded

_RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers of interpolations, as ``preprocessor_config.json`` has them."""

_CONFIG = "preprocessor_config.json"


@REFERENCES.register("hf")
def open_transformers(reference: Reference) -> Found:
    """A model that ``AutoModelForImageClassification`` loads from a local folder or the hub, with
    the normalisation and size of its ``preprocessor_config.json``. Its weights have to be
    safetensors, and no code of the repository is run.

    Raises:
        AlpError: transformers is not installed.
        CheckpointError: there is no such model, or its weights are not safetensors.
        ConfigError: neither it nor the reference says how images are normalised.
    """
    try:
        from transformers import AutoModelForImageClassification
    except ImportError as error:
        raise AlpError(
            f"hf:NAME needs transformers ({error}): {install('transformers')}"
        ) from error
    local = expanded(reference.place)
    place = str(local) if exists(local, Path.is_dir) else reference.place
    try:
        model = AutoModelForImageClassification.from_pretrained(
            place, use_safetensors=True, trust_remote_code=False
        )
        prepared = _preparation(place)
    except Exception as error:  # of transformers, of the hub's client, and of its HTTP library
        reason = "".join(str(error).strip().splitlines()[:1])[:300]
        raise CheckpointError(
            f"no image classifier can be loaded from {reference.place!r} "
            f"({type(error).__name__}: {reason}); give a folder that save_pretrained wrote, with "
            "safetensors, or the name of a repository"
        ) from error
    if prepared is None:
        _require_normalisation(reference)
        prepared = {}
    labels = model.config.id2label
    names = tuple(str(labels[key]) for key in sorted(labels))
    return Found(
        model.eval(),
        prepared.get("frame"),
        fixed=getattr(model.config, "image_size", None) is not None,
        mean=prepared.get("mean", (0.0,)),
        std=prepared.get("std", (1.0,)),
        classes=names if len(set(names)) == len(names) else None,
    )


def _require_normalisation(reference: Reference) -> None:
    """Raise a ConfigError unless the reference has what ``preprocessor_config.json`` would say."""
    if {"mean", "std"} <= set(reference.settings):
        return
    raise ConfigError(
        f"{reference.text} has no {_CONFIG}, which says how pictures become its images; say it: "
        f"{reference.kind}:{reference.place},size=224,mean=0.485:0.456:0.406,"
        "std=0.229:0.224:0.225, or mean=0,std=1 where it takes images in [0,1]"
    )


def _preparation(place: str) -> dict[str, Any] | None:
    """Frame, mean and deviation of a processor's description; None where there is none."""
    path = Path(place) / _CONFIG
    if not exists(Path(place), Path.is_dir):
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        try:
            path = Path(hf_hub_download(place, _CONFIG))
        except (EntryNotFoundError, LocalEntryNotFoundError):
            return None
    if not exists(path):
        return None
    content = json.loads(path.read_text("utf-8"))
    found: dict[str, Any] = {}
    if content.get("do_normalize", True) and "image_mean" in content:
        # Pixels are multiplied by the factor before they are normalised; ours are in [0,1].
        scale = 255 * content.get("rescale_factor", 1 / 255)
        found["mean"] = tuple(each / scale for each in content["image_mean"])
        found["std"] = tuple(each / scale for each in content["image_std"])
    resized = _sides(content.get("size"))
    cropped = _sides(content.get("crop_size")) if content.get("do_center_crop") else None
    sides = cropped or resized
    if sides:
        crop = cropped[0] / resized[0] if cropped and resized else content.get("crop_pct") or 1.0
        found["frame"] = FrameConfig(
            sides[0],
            sides[1],
            max(0.1, min(1.0, float(crop))),
            _RESAMPLE.get(content.get("resample", 2), "bilinear"),  # type: ignore[arg-type]
        )
    return found


def _sides(size: Any) -> tuple[int, int] | None:
    """Height and width in what a description calls a size."""
    if isinstance(size, int):
        return size, size
    if isinstance(size, dict) and "shortest_edge" in size:
        return int(size["shortest_edge"]), int(size["shortest_edge"])
    if isinstance(size, dict) and {"height", "width"} <= set(size):
        return int(size["height"]), int(size["width"])
    return None

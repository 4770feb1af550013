"""``timm:NAME``: a model of PyTorch Image Models, with its own transform and head."""

from __future__ import annotations

from typing import Any

from alp import seeding
from alp.config import FrameConfig
from alp.defences.references import REFERENCES, Found, Reference
from alp.errors import AlpError, CheckpointError, install
from alp.files import exists, expanded

_KNOWN = 5
"""Names that are suggested where one is unknown."""


@REFERENCES.register("timm")
def open_timm(reference: Reference) -> Found:
    """A model by its name, such as ``resnet50`` or ``resnet50.a1_in1k``, with pretrained weights
    unless ``weights`` is ``random`` or a safetensors file. Random weights are the same each time.

    Raises:
        AlpError: timm cannot be imported.
        CheckpointError: there is no such model, or its weights cannot be had.
    """
    if ":" in reference.place:  # a folder or any repository, whose weights may be a pickle
        raise CheckpointError(
            f"timm:{reference.place} is no name of a model of timm's, and nothing is unpickled; "
            "give timm:NAME,weights=FILE.safetensors"
        )
    timm = _timm()
    options: dict[str, Any] = {}
    names = reference.classes(None)
    if names is not None:
        options["num_classes"] = len(names)
    weights = reference.settings.get("weights", "pretrained")
    if weights not in ("pretrained", "random"):
        options["checkpoint_path"] = _safetensors(weights)
    try:
        with seeding.initialising(0, "reference"):
            model = timm.create_model(
                reference.place, pretrained=weights == "pretrained", **options
            ).eval()
    except Exception as error:  # of timm, of the hub's client, and of its HTTP library
        near = timm.list_models(f"*{reference.place[:12]}*")[:_KNOWN]
        known = f"; there are {', '.join(near)}" if near else ""
        reason = "".join(str(error).strip().splitlines()[:1])[:300]
        raise CheckpointError(
            f"timm cannot make {reference.place!r} ({type(error).__name__}: {reason}){known}; "
            f"without a network say timm:{reference.place},weights=FILE.safetensors"
        ) from error
    data = timm.data.resolve_model_data_config(model)
    _, height, width = data["input_size"]
    interpolation = data["interpolation"]
    frame = FrameConfig(
        height,
        width,
        max(0.1, min(1.0, data["crop_pct"])),
        interpolation if interpolation in ("bilinear", "bicubic", "lanczos") else "bicubic",
    )
    return Found(
        model,
        frame,
        bool(model.pretrained_cfg.get("fixed_input_size")),
        tuple(data["mean"]),
        tuple(data["std"]),
        names or _names(timm, model),
    )


def _timm() -> Any:
    try:
        import timm
        import timm.data
    except ModuleNotFoundError as error:
        if error.name == "timm":
            raise AlpError(f"timm:NAME needs timm: {install('timm')}") from error
        raise AlpError(
            f"timm cannot be imported without {error.name}; install the build of it that belongs "
            "to the installed torch (the selector on pytorch.org has both)"
        ) from error
    except (ImportError, RuntimeError, OSError) as error:
        raise AlpError(
            f"timm cannot be imported ({type(error).__name__}: {error}); its torchvision has to be "
            "of the same version and build as torch, CPU or CUDA: install both from one index"
        ) from error
    return timm


def _safetensors(text: str) -> str:
    path = expanded(text)
    if path.suffix != ".safetensors" or not exists(path):
        raise CheckpointError(
            f"weights={text} is no safetensors file, and nothing is unpickled; give pretrained, "
            "random, or a file that safetensors.torch.save_file wrote"
        )
    return str(path)


def _names(timm: Any, model: Any) -> tuple[str, ...] | None:
    """The names of ImageNet's classes, where the model has them."""
    subset = timm.data.infer_imagenet_subset(model)
    if not subset:
        return None
    names = tuple(timm.data.ImageNetInfo(subset).label_descriptions())
    return names if len(set(names)) == len(names) else None

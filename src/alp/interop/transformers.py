"""A defence as a model of Hugging Face's transformers, with the image processor that it needs.

What ``save_pretrained`` writes beside the weights names these classes, so that
``AutoModelForImageClassification.from_pretrained(FOLDER, trust_remote_code=True)`` and
``pipeline("image-classification", FOLDER, trust_remote_code=True)`` find them. The code in the
folder imports this module: alp has to be installed where it is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.image_processing_base import BatchFeature, ImageProcessingMixin
from transformers.modeling_outputs import ImageClassifierOutput
from transformers.processing_utils import ImagesKwargs

from alp.config import FrameConfig, from_dict
from alp.data.decode import framed
from alp.defences.base import Defence
from alp.defences.hub import fetch
from alp.defences.packaged import require_classifier
from alp.errors import ConfigError

_HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "revision", "token")


class AlpConfig(PreTrainedConfig):  # type: ignore[misc]
    """What ``config.json`` holds: the names of the classes, and alp's own description."""

    model_type = "alp"


@final
class AlpForImageClassification(PreTrainedModel):  # type: ignore[misc]
    """A defence: ``pixel_values`` (B,3,H,W) in [0,1] to logits (B,K)."""

    config_class = AlpConfig
    main_input_name = "pixel_values"

    def __init__(self, config: AlpConfig, defence: Defence) -> None:
        super().__init__(config)
        self.defence = defence

    @classmethod
    def from_pretrained(
        cls, folder_or_repository: Any, *args: Any, config: Any = None, **options: Any
    ) -> Self:
        """The model in a folder that ``save_pretrained`` wrote, or in a repository of the hub, in
        evaluation mode. Digests are verified, and nothing is unpickled.

        Args:
            options: those of the hub, such as ``revision``, and ``dtype``.

        Raises:
            CheckpointError: there is no such model.
            ConfigError: it classifies nothing.
        """
        place = str(folder_or_repository)
        where = {name: options[name] for name in _HUB_OPTIONS if name in options}
        model = require_classifier(fetch(place, **where), place)
        made: Self = cls(config or AlpConfig.from_pretrained(place, **where), model)
        dtype = options.get("dtype", options.get("torch_dtype"))
        if isinstance(dtype, torch.dtype):
            made.to(dtype)
        made.eval()
        return made

    def forward(
        self, pixel_values: Tensor, labels: Tensor | None = None, **ignored: Any
    ) -> ImageClassifierOutput:
        """Mean logits over fresh draws, and their cross-entropy with ``labels`` (B,)."""
        logits = self.defence(pixel_values)
        loss = None if labels is None else F.cross_entropy(logits, labels)
        return ImageClassifierOutput(loss=loss, logits=logits)


@final
class AlpImageProcessor(ImageProcessingMixin):  # type: ignore[misc]
    """Pictures to ``pixel_values`` (B,3,H,W), float32 in [0,1]; the model normalises inside."""

    model_input_names = ("pixel_values",)
    valid_kwargs = ImagesKwargs

    def __init__(self, frame: Mapping[str, Any] | None = None, **others: Any) -> None:
        """``frame``: how pictures of any size become images of one, see
        :class:`alp.config.FrameConfig`; without it they keep their size."""
        super().__init__(**others)
        self.frame = dict(frame) if frame else None

    def __call__(self, images: Any, return_tensors: str = "pt", **ignored: Any) -> BatchFeature:
        """One picture or a list of them: PIL images, or arrays (H,W,3) uint8.

        Raises:
            ConfigError: the pictures are of several sizes, and nobody says to which to bring them.
        """
        several = images if isinstance(images, list | tuple) else [images]
        frame = from_dict(FrameConfig, self.frame) if self.frame else None
        pixels = [_pixels(each) for each in several]
        pixels = [framed(each, frame) if frame else each for each in pixels]
        sizes = {each.shape for each in pixels}
        if len(sizes) > 1:
            raise ConfigError(
                "the pictures have several sizes; save the model with "
                "model.save_pretrained(folder, size=N), which brings them to one"
            )
        values = np.stack(pixels).transpose(0, 3, 1, 2).astype(np.float32) / 255
        return BatchFeature({"pixel_values": values}, tensor_type=return_tensors)


def _pixels(picture: Any) -> np.ndarray[Any, Any]:
    if hasattr(picture, "convert"):
        picture = picture.convert("RGB")
    pixels = np.asarray(picture)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ConfigError(
            f"a picture is {pixels.dtype} of shape {pixels.shape}; give PIL images, or arrays "
            "(H,W,3) uint8"
        )
    return pixels

"""JPEG compression in front of the classifier."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alp.bench.peers.base import Defence, Peer
from alp.config import check_types, within

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True)
class JPEG(Peer):
    """Compress and decompress each image (Dziugaite et al. 2016, at quality 75), by Pillow."""

    quality: int = 75
    """JPEG quality, 1 to 95."""

    def __post_init__(self) -> None:
        check_types(self)
        within(self, 1, 95, "quality")

    def build(self, classifier: nn.Module, device: torch.device | str = "cpu") -> Defence:
        """See :meth:`Peer.build`."""
        import numpy as np
        import torch

        def defended(x: Tensor, source: torch.Generator) -> Tensor:
            pixels = x.mul(255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
            images = np.stack([_compressed(image, self.quality) for image in pixels])
            back = torch.from_numpy(images).to(x.device).permute(0, 3, 1, 2).float() / 255
            logits: Tensor = classifier(back)
            return logits

        return defended


def _compressed(pixels: npt.NDArray[np.uint8], quality: int) -> npt.NDArray[np.uint8]:
    import numpy as np
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as image:
        return np.asarray(image)

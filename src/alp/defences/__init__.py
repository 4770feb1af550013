"""Defences: the purifier, the classifiers, the defended model, and other people's defences.

Importing this package does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alp.lazy import lazily

if TYPE_CHECKING:
    from alp.defences.classifier import ResNetLite
    from alp.defences.purified import DRAWS, Defended, defend
    from alp.defences.purifier import LatentNoise, Purifier
    from alp.defences.smoothing import InputNoise

__all__ = ["DRAWS", "Defended", "InputNoise", "LatentNoise", "Purifier", "ResNetLite", "defend"]

__getattr__ = lazily(
    __name__,
    {
        "alp.defences.classifier": ("ResNetLite",),
        "alp.defences.purified": ("DRAWS", "Defended", "defend"),
        "alp.defences.purifier": ("LatentNoise", "Purifier"),
        "alp.defences.smoothing": ("InputNoise",),
    },
)

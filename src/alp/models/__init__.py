"""Networks: the purifier, the classifiers and the defended model."""

from alp.models.classifier import ResNetLite
from alp.models.defended import DRAWS, Defended, defend
from alp.models.noise import LatentNoise
from alp.models.purifier import Purifier

__all__ = ["DRAWS", "Defended", "LatentNoise", "Purifier", "ResNetLite", "defend"]

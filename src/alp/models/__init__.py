"""Networks: the purifier, the classifiers and the defended model."""

from alp.models.classifier import ResNetLite
from alp.models.defended import DRAWS, Defended, defend
from alp.models.input_noise import InputNoise
from alp.models.noise import LatentNoise
from alp.models.purifier import Purifier

__all__ = ["DRAWS", "Defended", "InputNoise", "LatentNoise", "Purifier", "ResNetLite", "defend"]

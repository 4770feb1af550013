"""Tiny models of some rows."""

from __future__ import annotations

from alp.config import ClassifierConfig, PurifierConfig
from alp.defences import InputNoise, Purifier, ResNetLite, defend
from alp.defences.checkpoint import Model
from alp.seeding import initialising
from alp.training import JointStage, PurifierStage

CODE = PurifierConfig(4, 4, 1)
HEAD = ClassifierConfig("tiny", 3)
STAGES = {"purifier": PurifierStage(CODE), "defended": JointStage(HEAD)}


def models() -> dict[str, Model]:
    """A model for each of some rows; ``standalone`` has the purifier of the row ``purifier``."""
    with initialising(0, "rows"):
        purifier, other = Purifier(CODE), Purifier(CODE)
        heads = [ResNetLite(HEAD) for _ in range(5)]
    return {
        "purifier": purifier,
        "standard": heads[0],
        "adversarial": heads[1],
        "standalone": defend(heads[2], purifier),
        "defended": defend(heads[3], other, 3),
        "input-noise": InputNoise(heads[4], 0.1, 3),
    }

"""Tiny models of some rows, and what their trainings leave."""

from __future__ import annotations

import json
from pathlib import Path

from alp.config import ClassifierConfig, PurifierConfig, to_dict
from alp.defences import InputNoise, Purifier, ResNetLite, defend
from alp.defences.checkpoint import Model, save
from alp.seeding import initialising
from alp.training import ClassifierStage, JointStage, PurifierStage

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


def finish(folder: Path, row: str, model: Model) -> Path:
    """A folder as a finished training of ``model`` leaves it."""
    digest = save(model.eval(), folder / "weights.safetensors")
    record = {
        "stage": "some stage",
        "settings": to_dict(STAGES.get(row, ClassifierStage(HEAD))),
        "data": "cifar10",
        "seconds": 75.0,
        "precision": "32-true",
        "versions": {"alp": "0", "torch": "2"},
        "curve": {"step": [float(n) for n in range(1, 201)], "loss": [1 / 3] * 200},
        "weights_digest": digest,
    }
    (folder / "training.json").write_text(json.dumps(record))
    return folder

"""Training: three stages, one loop. Importing this package does not import torch."""

from alp.training.stages import (
    AdversaryConfig,
    ClassifierStage,
    JointStage,
    PurifierStage,
    Stage,
)

__all__ = ["AdversaryConfig", "ClassifierStage", "JointStage", "PurifierStage", "Stage"]

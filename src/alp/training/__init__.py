"""Training: the stages, one loop. Importing this package does not import torch."""

from alp.training.stages import (
    AdversaryConfig,
    CertifiedStage,
    ClassifierStage,
    JointStage,
    PurifierStage,
    Stage,
)

__all__ = [
    "AdversaryConfig",
    "CertifiedStage",
    "ClassifierStage",
    "JointStage",
    "PurifierStage",
    "Stage",
]

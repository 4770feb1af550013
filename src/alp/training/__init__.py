"""Training: the stages, one loop. Importing this package does not import torch."""

from alp.training.stages import (
    AdversaryConfig,
    CertifiedStage,
    ClassifierStage,
    DenoiserStage,
    DiffusionStage,
    DistilledStage,
    EnsembleStage,
    GuardStage,
    HGDStage,
    JointStage,
    MagNetStage,
    PurifierStage,
    Stage,
    UnifiedStage,
)

__all__ = [
    "AdversaryConfig",
    "CertifiedStage",
    "ClassifierStage",
    "DenoiserStage",
    "DiffusionStage",
    "DistilledStage",
    "EnsembleStage",
    "GuardStage",
    "HGDStage",
    "JointStage",
    "MagNetStage",
    "PurifierStage",
    "Stage",
    "UnifiedStage",
]

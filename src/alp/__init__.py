"""alp: stochastic latent purification in front of a classifier.

    model = alp.load("cifar10-lite")                       # packaged; a path loads your own
    purifier = alp.load("cifar10-lite/purifier")
    model = alp.defend(my_classifier, purifier)        # any module from [0,1] images to logits
    logits = model(images)                             # mean over 20 fresh draws

Public names are imported when they are first used, so that ``import alp`` is cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alp.lazy import lazily
from alp.version import __version__

if TYPE_CHECKING:
    from alp.attacks import APGD, BIM, FGSM, L2, NFGSM, PGD, Linf, Square
    from alp.data import Images, load_data
    from alp.defences import Defended, LatentNoise, Purifier, ResNetLite, defend
    from alp.defences.adapters import as_defence
    from alp.defences.base import Defence
    from alp.defences.checkpoint import save
    from alp.defences.packaged import load
    from alp.defences.smoothed import Smoothed
    from alp.deploy import Consensus, SequentialDefended, export_onnx
    from alp.errors import AlpError
    from alp.evaluation import About, EvalConfig, Grid, PaperProtocol, Point, evaluate
    from alp.evaluation.certify import certify
    from alp.records import conclude
    from alp.report import write_report
    from alp.training import CertifiedStage, ClassifierStage, JointStage, PurifierStage
    from alp.training.fit import fit
    from alp.training.train import train

__all__ = [
    "APGD",
    "BIM",
    "FGSM",
    "L2",
    "NFGSM",
    "PGD",
    "About",
    "AlpError",
    "CertifiedStage",
    "ClassifierStage",
    "Consensus",
    "Defence",
    "Defended",
    "EvalConfig",
    "Grid",
    "GuardStage",
    "Images",
    "JointStage",
    "LatentNoise",
    "Linf",
    "PaperProtocol",
    "Point",
    "Purifier",
    "PurifierStage",
    "ResNetLite",
    "SequentialDefended",
    "Smoothed",
    "Square",
    "__version__",
    "as_defence",
    "certify",
    "conclude",
    "defend",
    "evaluate",
    "export_onnx",
    "fit",
    "load",
    "load_data",
    "save",
    "train",
    "write_report",
]


__getattr__ = lazily(
    __name__,
    {
        "alp.attacks": ("APGD", "BIM", "FGSM", "L2", "NFGSM", "PGD", "Linf", "Square"),
        "alp.data": ("Images", "load_data"),
        "alp.defences": ("Defended", "LatentNoise", "Purifier", "ResNetLite", "defend"),
        "alp.defences.base": ("Defence",),
        "alp.defences.adapters": ("as_defence",),
        "alp.defences.checkpoint": ("save",),
        "alp.defences.packaged": ("load",),
        "alp.defences.smoothed": ("Smoothed",),
        "alp.deploy": ("Consensus", "SequentialDefended", "export_onnx"),
        "alp.errors": ("AlpError",),
        "alp.evaluation": ("About", "EvalConfig", "Grid", "PaperProtocol", "Point", "evaluate"),
        "alp.evaluation.certify": ("certify",),
        "alp.records": ("conclude",),
        "alp.report": ("write_report",),
        "alp.training": (
            "CertifiedStage",
            "ClassifierStage",
            "GuardStage",
            "JointStage",
            "PurifierStage",
        ),
        "alp.training.fit": ("fit",),
        "alp.training.train": ("train",),
    },
)

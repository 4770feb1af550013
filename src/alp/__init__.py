"""alp: stochastic latent purification in front of a classifier.

    model = alp.load("cifar10-lite")                       # packaged; a path loads your own
    purifier = alp.load("cifar10-lite/purifier")
    model = alp.defend(my_classifier, purifier)        # any module from [0,1] images to logits
    logits = model(images)                             # mean over 20 fresh draws

Public names are imported when they are first used, so that ``import alp`` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from alp.version import __version__

if TYPE_CHECKING:
    from alp.attacks import APGD, BIM, FGSM, L2, NFGSM, PGD, Linf, Square
    from alp.data import Images, load_data
    from alp.deploy import Consensus, SequentialDefended, export_onnx
    from alp.errors import AlpError
    from alp.evaluation import About, evaluate, evaluate_protocol, subject_of
    from alp.evaluation.records import conclude
    from alp.models import Defended, LatentNoise, Purifier, ResNetLite, defend
    from alp.models.checkpoint import save_model as save
    from alp.models.packaged import load
    from alp.report import write_report
    from alp.training import ClassifierStage, JointStage, PurifierStage
    from alp.workflows import train

_HOMES = {
    "alp.attacks": ("APGD", "BIM", "FGSM", "L2", "NFGSM", "PGD", "Linf", "Square"),
    "alp.data": ("Images", "load_data"),
    "alp.deploy": ("Consensus", "SequentialDefended", "export_onnx"),
    "alp.errors": ("AlpError",),
    "alp.evaluation": ("About", "evaluate", "evaluate_protocol", "subject_of"),
    "alp.evaluation.records": ("conclude",),
    "alp.models": ("Defended", "LatentNoise", "Purifier", "ResNetLite", "defend"),
    "alp.report": ("write_report",),
    "alp.training": ("ClassifierStage", "JointStage", "PurifierStage"),
    "alp.workflows": ("train",),
}
_WHERE = {name: (home, name) for home, names in _HOMES.items() for name in names} | {
    "load": ("alp.models.packaged", "load"),
    "save": ("alp.models.checkpoint", "save_model"),
}

__all__ = [
    "APGD",
    "BIM",
    "FGSM",
    "L2",
    "NFGSM",
    "PGD",
    "About",
    "AlpError",
    "ClassifierStage",
    "Consensus",
    "Defended",
    "Images",
    "JointStage",
    "LatentNoise",
    "Linf",
    "Purifier",
    "PurifierStage",
    "ResNetLite",
    "SequentialDefended",
    "Square",
    "__version__",
    "conclude",
    "defend",
    "evaluate",
    "evaluate_protocol",
    "export_onnx",
    "load",
    "load_data",
    "save",
    "subject_of",
    "train",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'alp' has no attribute {name!r}")
    home, original = _WHERE[name]
    return getattr(import_module(home), original)

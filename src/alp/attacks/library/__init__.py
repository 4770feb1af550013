"""Attacks taken from kept libraries (extra ``attacks``), for deterministic targets: a deterministic
model, or a bank of known draws that the caller has bound into the target.

Each reads like an attack of this package: settings in the constructor, data in the call, all
randomness from the source, no global state changed. Nothing here imports torch or a library before
an attack runs.
"""

from __future__ import annotations

from alp.attacks.library.autoattack import FAB, AutoAttackStandard, SquareReference, TargetedAPGD
from alp.attacks.library.base import LibraryAttack
from alp.attacks.library.foolbox import FMN, Boundary, CarliniWagner, DeepFool, HopSkipJump

LIBRARY_ATTACKS: dict[str, type[LibraryAttack]] = {
    "apgd-t": TargetedAPGD,
    "fab-t": FAB,
    "square-reference": SquareReference,
    "autoattack": AutoAttackStandard,
    "boundary": Boundary,
    "hopskipjump": HopSkipJump,
    "cw": CarliniWagner,
    "deepfool": DeepFool,
    "fmn": FMN,
}
"""Name to attack; each names the norms it knows in ``norms``."""

__all__ = [
    "FAB",
    "FMN",
    "LIBRARY_ATTACKS",
    "AutoAttackStandard",
    "Boundary",
    "CarliniWagner",
    "DeepFool",
    "HopSkipJump",
    "LibraryAttack",
    "SquareReference",
    "TargetedAPGD",
]

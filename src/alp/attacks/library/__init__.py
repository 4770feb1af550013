"""Attacks taken from kept libraries (extra ``attacks``), for deterministic targets: a deterministic
model, or a bank of known draws that the caller has bound into the target.

Each reads like an attack of this package: settings in the constructor, data in the call, all
randomness from the source, no global state changed. Nothing here imports torch or a library before
an attack runs.
"""

from __future__ import annotations

from alp.attacks.library.autoattack import FAB, AutoAttackStandard, SquareReference, TargetedAPGD
from alp.attacks.library.base import LIBRARY_ATTACKS, LibraryAttack
from alp.attacks.library.foolbox import FMN, Boundary, CarliniWagner, DeepFool, HopSkipJump

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

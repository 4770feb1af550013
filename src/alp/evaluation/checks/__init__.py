"""Checks of an evaluation: inequalities that an honest one keeps. ``docs/checks.md`` explains each.

A new check is one file and one line.
"""

from __future__ import annotations

from alp.evaluation.checks.averaging import Direction, Draws
from alp.evaluation.checks.base import Check, Finding, Scene
from alp.evaluation.checks.blackbox import BlackBox
from alp.evaluation.checks.bpda import BPDA
from alp.evaluation.checks.differences import FiniteDifference
from alp.evaluation.checks.null import Null
from alp.evaluation.checks.planted import Planted
from alp.evaluation.checks.radius import Radius
from alp.evaluation.checks.steps import Steps
from alp.evaluation.checks.zero import ZeroGradient

CHECKS: dict[str, Check] = {
    check.name: check
    for check in (
        Null(),
        Steps(),
        Radius(),
        BlackBox(),
        Draws(),
        Direction(),
        BPDA(),
        ZeroGradient(),
        FiniteDifference(),
        Planted(),
    )
}
"""Name to check, in the order in which they are printed."""

__all__ = ["CHECKS", "Check", "Finding", "Scene"]

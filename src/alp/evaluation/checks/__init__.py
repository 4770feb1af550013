"""Checks of an evaluation: inequalities that an honest one keeps.

``docs/checks.md`` explains each.
"""

from __future__ import annotations

from alp.evaluation.checks.base import CHECKS, Check, Finding, Scene

__all__ = ["CHECKS", "Check", "Finding", "Scene"]

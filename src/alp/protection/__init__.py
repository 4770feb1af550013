"""A defence for a user's own classifier and pictures: the plan of its steps, and what came out."""

from __future__ import annotations

from alp.protection.plan import NAMES, Plan, Training
from alp.protection.schedule import Schedule, assemble

__all__ = ["NAMES", "Plan", "Schedule", "Training", "assemble"]

"""A defence for a user's own classifier and pictures: the plan of its steps, and what came out."""

from __future__ import annotations

from alp.protection.plan import Plan, assemble, planned

__all__ = ["Plan", "assemble", "planned"]

"""What an evaluation will take, on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from alp.cli.words import span
from alp.report.format import count

if TYPE_CHECKING:
    from alp.evaluation.planning import Estimate

WORKERS = (1, 2, 4, 8, 64, 512)
"""Numbers of workers whose wall time is told."""

START = 10.0
"""Seconds that a worker takes to import torch, load its model and ask it for a few numbers."""


def plan_values(plans: Mapping[str, Estimate]) -> dict[str, Any]:
    """Name of each model to its estimate, as JSON values."""
    return {
        name: {
            "units": len(plan.every),
            "core_hours": plan.core_seconds / 3600,
            "threads": plan.threads,
            "memory_bytes": plan.memory,
            "wall_seconds": {str(n): plan.wall(n, START) for n in WORKERS},
        }
        for name, plan in plans.items()
    }


def plan_lines(plans: Mapping[str, Estimate]) -> Iterator[str]:
    """A few lines a model."""
    for name, plan in plans.items():
        yield (
            f"plan       {name}: {count(len(plan.every), 'unit')}, "
            f"{plan.core_seconds / 3600:.2f} core-hours"
        )
        yield (
            f"memory     {plan.memory / 2**20:,.0f} MiB a worker for weights, images, gradients, "
            "beside Python and torch"
        )
        walls = [f"{n}: {span(plan.wall(n, START))}" for n in WORKERS if n <= len(plan.every)]
        yield f"wall time  by workers of {count(plan.threads, 'thread')}  " + "   ".join(walls)

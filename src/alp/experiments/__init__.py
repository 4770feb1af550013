"""The paper's tables and figures as experiments. Importing this package does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from alp.registry import Registry

if TYPE_CHECKING:
    from alp.experiments.workspace import Workspace
    from alp.records import Record

__all__ = ["EXPERIMENTS"]

EXPERIMENTS: Registry[Callable[[Workspace], list[Record]]] = Registry(
    "EXPERIMENTS", "alp.experiments", "alp.experiments"
)
"""Name to experiment, in the order in which all are run."""

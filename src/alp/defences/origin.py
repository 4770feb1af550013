"""Where a model was loaded from, so that another process or machine loads it and need not be sent
its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ModelOrigin:
    """A weights file, or the name of a packaged model, and what is in it."""

    place: str
    """Whole path, or name."""
    digest: str
    """sha256 of the weights."""
    description: Mapping[str, Any] = field(repr=False)
    """The architecture and the names of the classes."""
    draws: int = 1
    """Draws of the deployed prediction."""

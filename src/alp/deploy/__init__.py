"""Deployment: sequential consensus, compiled engines, ONNX export and a runner without torch.

Importing this package imports neither torch nor a runtime: what needs them is imported when it is
asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alp.deploy.backends import BACKENDS, build
    from alp.deploy.consensus import Consensus, Outcome
    from alp.deploy.engine import Engine
    from alp.deploy.export import export_onnx
    from alp.deploy.runtime import Runtime
    from alp.deploy.sequential import SequentialDefended
    from alp.deploy.target import EngineTarget

__all__ = [
    "BACKENDS",
    "Consensus",
    "Engine",
    "EngineTarget",
    "Outcome",
    "Runtime",
    "SequentialDefended",
    "build",
    "export_onnx",
]

_HOMES = {
    "BACKENDS": "backends",
    "Consensus": "consensus",
    "Engine": "engine",
    "EngineTarget": "target",
    "Outcome": "consensus",
    "Runtime": "runtime",
    "SequentialDefended": "sequential",
    "build": "backends",
    "export_onnx": "export",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

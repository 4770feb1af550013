"""Deployment: sequential consensus, compiled engines, ONNX export and a runner without torch.

Importing this package imports neither torch nor a runtime: what needs them is imported when it is
asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alp.lazy import lazily

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

__getattr__ = lazily(__name__, _HOMES)

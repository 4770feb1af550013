"""Deployment: sequential consensus, compiled engines, ONNX export and a runner without torch.

Importing this package imports neither torch nor a runtime: what needs them is imported when it is
asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alp.lazy import lazily

if TYPE_CHECKING:
    from alp.deploy.backends import BACKENDS, Backend, build
    from alp.deploy.compiled import CompiledClassifier
    from alp.deploy.consensus import Consensus, Outcome
    from alp.deploy.deployment import SequentialDefended
    from alp.deploy.engine import Engine
    from alp.deploy.export import export_onnx
    from alp.deploy.runtime import Runtime
    from alp.deploy.target import EngineTarget

__all__ = [
    "BACKENDS",
    "Backend",
    "CompiledClassifier",
    "Consensus",
    "Engine",
    "EngineTarget",
    "Outcome",
    "Runtime",
    "SequentialDefended",
    "build",
    "export_onnx",
]

__getattr__ = lazily(
    __name__,
    {
        "alp.deploy.backends": ("BACKENDS", "Backend", "build"),
        "alp.deploy.compiled": ("CompiledClassifier",),
        "alp.deploy.consensus": ("Consensus", "Outcome"),
        "alp.deploy.engine": ("Engine",),
        "alp.deploy.export": ("export_onnx",),
        "alp.deploy.runtime": ("Runtime",),
        "alp.deploy.deployment": ("SequentialDefended",),
        "alp.deploy.target": ("EngineTarget",),
    },
)

"""ONNX Runtime on the processor."""

from __future__ import annotations

from functools import partial

from alp.deploy.engine import Engine, Floats
from alp.deploy.graphs import build_graphs
from alp.deploy.onnx_engine import OnnxEngine
from alp.deploy.onnx_models import models_in
from alp.models import Defended


def build(
    defended: Defended,
    threads: int,
    precision: str,
    size: tuple[int, int],
    calibration: Floats | None,
) -> Engine:
    """See :func:`alp.deploy.build`."""
    graphs = build_graphs(defended, size)
    models = models_in(precision, graphs, calibration)
    held = {name: partial(bytes, model) for name, model in models.items()}
    return OnnxEngine(graphs.shapes, held, threads)

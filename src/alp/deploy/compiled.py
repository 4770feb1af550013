"""``torch.compile``: each graph compiled for its first shape, and for any when it meets a second;
on a GPU with CUDA graphs. The first two calls take seconds to minutes."""

from __future__ import annotations

import torch

from alp.defences import Defended
from alp.deploy.engine import Engine, Floats
from alp.deploy.graphs import build_graphs
from alp.deploy.torch_engine import TorchEngine


def build(
    defended: Defended,
    threads: int,
    precision: str,
    size: tuple[int, int],
    calibration: Floats | None,
) -> Engine:
    """See :func:`alp.deploy.build`."""
    graphs = build_graphs(defended, size)
    on_gpu = graphs.decode.sigma.device.type == "cuda"
    mode = "reduce-overhead" if on_gpu else "default"
    halves = tuple(
        torch.compile(each, mode=mode) for each in (graphs.encode, graphs.draw, graphs.decode)
    )
    return TorchEngine(graphs, halves, threads, precision)  # type: ignore[arg-type]

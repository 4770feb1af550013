"""The graphs of a defended model by PyTorch, as they are or compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn

from alp import seeding
from alp.defences import Defended
from alp.deploy.backends import BACKENDS, Backend, BuildOptions
from alp.deploy.engine import Engine, Floats, Random
from alp.deploy.graphs import Graphs, build_graphs, classifier_graph
from alp.executors import on_threads

Halves = tuple[Callable[..., Tensor], Callable[..., Tensor], Callable[..., Tensor]]
"""Encoder, decoder with classifier, and decoder alone."""


class TorchEngine(Engine):
    """The graphs on the device of the model."""

    def __init__(self, graphs: Graphs, halves: Halves, threads: int, precision: str) -> None:
        super().__init__(graphs.shapes)
        self.device = graphs.decode.sigma.device
        self.threads = threads
        self.low = precision == "bfloat16"
        self._encode, self._draw, self._decode = halves

    def encode(self, images: Floats) -> Floats:
        return self._run(self._encode, images)

    def decode_classify(self, mu: Floats, noise: Floats) -> Floats:
        return self._run(self._draw, mu, noise)

    def decode(self, mu: Floats, noise: Floats) -> Floats:
        return self._run(self._decode, mu, noise)

    def predict(self, images: Floats, draws: int | None = None, generator: Random = None) -> Floats:
        if self.device.type == "cpu":
            return super().predict(images, draws, generator)
        return self.predict_at_once(images, draws, generator)

    def predict_at_once(
        self, images: Floats, draws: int | None = None, generator: Random = None
    ) -> Floats:
        """``predict`` with all draws in one call and their noise made on the device, for GPUs."""
        self.check(images)
        draws = self.counted(draws)
        if generator is None:
            source = seeding.entropy(self.device)
        else:
            key = int(np.random.default_rng(generator).integers(2**63))
            source = seeding.keyed(key, self.device)
        with lent(self.device.type, self.threads, self.low):
            mu = self._encode(torch.from_numpy(images).to(self.device)).clone()
            noise = torch.randn((draws, *mu.shape), generator=source, device=self.device)
            return _numpy(self._draw(mu, noise).mean(0))

    def _run(self, graph: Callable[..., Tensor], *arrays: Floats) -> Floats:
        with lent(self.device.type, self.threads, self.low):
            return _numpy(graph(*(torch.from_numpy(each).to(self.device) for each in arrays)))


@contextmanager
def lent(device: str, threads: int, low: bool) -> Iterator[None]:
    """Inference on so many threads, in bfloat16 where ``low``."""
    half = torch.autocast(device, torch.bfloat16) if low else nullcontext()
    with on_threads(threads), torch.inference_mode(), half:
        yield


def torch_network(
    graph: Callable[..., Tensor], options: BuildOptions
) -> Callable[[Floats], Floats]:
    """A classifier's graph on arrays, on the processor."""

    def run(images: Floats) -> Floats:
        with lent("cpu", options.threads, options.precision == "bfloat16"):
            return _numpy(graph(torch.from_numpy(images)))

    return run


def _numpy(answer: Tensor) -> Floats:
    made: Floats = answer.float().cpu().numpy()
    return made


@BACKENDS.register("eager", order=0)
class Eager(Backend):
    """PyTorch itself, operator by operator: what the other backends are measured against."""

    precisions = ("float32", "bfloat16")

    def engine(self, defended: Defended, options: BuildOptions) -> Engine:
        graphs = build_graphs(defended, options.size)
        halves = (graphs.encode, graphs.draw, graphs.decode)
        return TorchEngine(graphs, halves, options.threads, options.precision)

    def network(self, classifier: nn.Module, options: BuildOptions) -> Callable[[Floats], Floats]:
        return torch_network(classifier_graph(classifier, options.size), options)


@BACKENDS.register("compile", order=1)
class Compile(Backend):
    """``torch.compile``: each graph compiled for its first shape, and for any when it meets a
    second; on a GPU with CUDA graphs. The first two calls take seconds to minutes."""

    precisions = ("float32", "bfloat16")

    def engine(self, defended: Defended, options: BuildOptions) -> Engine:
        graphs = build_graphs(defended, options.size)
        on_gpu = graphs.decode.sigma.device.type == "cuda"
        mode = "reduce-overhead" if on_gpu else "default"
        halves = tuple(
            torch.compile(each, mode=mode) for each in (graphs.encode, graphs.draw, graphs.decode)
        )
        return TorchEngine(graphs, halves, options.threads, options.precision)  # type: ignore[arg-type]

    def network(self, classifier: nn.Module, options: BuildOptions) -> Callable[[Floats], Floats]:
        graph = torch.compile(classifier_graph(classifier, options.size))
        return torch_network(graph, options)

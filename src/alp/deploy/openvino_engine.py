"""OpenVINO on the processor, from the same ONNX models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from alp.defences import Defended
from alp.deploy.backends import BACKENDS, Backend, BuildOptions
from alp.deploy.engine import Engine, Floats, Shapes
from alp.deploy.graphs import build_graphs
from alp.deploy.onnx_engine import NEEDS
from alp.deploy.onnx_models import classifier_model, models_in
from alp.errors import install

HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}
"""Precision to that of the operations which are not quantised. Always set: where the processor
multiplies bfloat16, OpenVINO takes it unasked."""


class OpenVinoEngine(Engine):
    """The models ``encoder``, ``draws`` and ``decoder``; each compiled when it is first asked."""

    def __init__(
        self, shapes: Shapes, models: Mapping[str, bytes], threads: int, precision: str
    ) -> None:
        super().__init__(shapes)
        self.threads = threads
        self.precision = precision
        self._models = models
        self._compiled: dict[str, Callable[[Mapping[str, Floats]], Floats]] = {}

    def encode(self, images: Floats) -> Floats:
        return self._run("encoder", images=images)

    def decode_classify(self, mu: Floats, noise: Floats) -> Floats:
        return self._run("draws", mu=mu, noise=noise)

    def decode(self, mu: Floats, noise: Floats) -> Floats:
        return self._run("decoder", mu=mu, noise=noise)

    def _run(self, name: str, **inputs: Floats) -> Floats:
        if name not in self._compiled:
            self._compiled[name] = compiled(self._models[name], self.threads, self.precision)
        return self._compiled[name](inputs)


def compiled(
    model: bytes, threads: int, precision: str
) -> Callable[[Mapping[str, Floats]], Floats]:
    """An ONNX model as a function from its inputs, by name, to its one output."""
    import openvino

    config = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "ENABLE_CPU_PINNING": False,  # several processes would pin themselves to the same cores
    }
    core = openvino.Core()
    runner: Any = core.compile_model(core.read_model(model), "CPU", config)

    def run(inputs: Mapping[str, Floats]) -> Floats:
        # Shared memory has been seen to be corrupted.
        answer: Floats = runner(inputs, share_inputs=False, share_outputs=False)[0]
        return answer

    return run


@BACKENDS.register("openvino", order=3)
class OpenVino(Backend):
    """OpenVINO on the processor."""

    precisions = ("float32", "bfloat16", "int8")
    needs = (*NEEDS, "openvino")
    repair = install("openvino")

    def engine(self, defended: Defended, options: BuildOptions) -> Engine:
        graphs = build_graphs(defended, options.size)
        models = models_in(options.precision, graphs, options.calibration)
        return OpenVinoEngine(graphs.shapes, models, options.threads, options.precision)

    def network(self, classifier: nn.Module, options: BuildOptions) -> Callable[[Floats], Floats]:
        model = classifier_model(classifier, options.size, options.precision, options.calibration)
        run = compiled(model, options.threads, options.precision)
        return lambda images: run({"images": images})

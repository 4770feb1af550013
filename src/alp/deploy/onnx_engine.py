"""ONNX Runtime on the graphs of a defended model. Needs no torch, but to build them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from alp.deploy.backends import BACKENDS, Backend, BuildOptions
from alp.deploy.engine import Engine, Floats, Shapes
from alp.errors import AlpError, install

if TYPE_CHECKING:
    from torch import nn

    from alp.defences import Defended

NEEDS = ("onnx", "onnxscript", "onnxruntime")
"""Packages that make the models and run them."""

Model = Callable[[], bytes]
"""Makes or reads an ONNX model."""


class OnnxEngine(Engine):
    """The models ``encoder``, ``draws`` and ``decoder``; each loaded when it is first asked."""

    def __init__(self, shapes: Shapes, models: Mapping[str, Model], threads: int) -> None:
        super().__init__(shapes)
        self.threads = threads
        self._models = models
        self._sessions: dict[str, Any] = {}

    def encode(self, images: Floats) -> Floats:
        return self._run("encoder", images=images)

    def decode_classify(self, mu: Floats, noise: Floats) -> Floats:
        return self._run("draws", mu=mu, noise=noise)

    def decode(self, mu: Floats, noise: Floats) -> Floats:
        return self._run("decoder", mu=mu, noise=noise)

    def _run(self, name: str, **inputs: Floats) -> Floats:
        if name not in self._sessions:
            self._load(name)
        answer: Floats = self._sessions[name].run(None, inputs)[0]
        return answer

    def _load(self, *names: str) -> None:
        for name in names:
            if name not in self._models:
                raise AlpError(f"there is no ONNX model {name!r}; export the model again")
            self._sessions[name] = open_session(self._models[name](), self.threads)


def open_session(model: bytes, threads: int) -> Any:
    """An ``onnxruntime.InferenceSession`` on the processor.

    Raises:
        AlpError: ONNX Runtime is not installed, or refuses the model.
    """
    if find_spec("onnxruntime") is None:
        raise AlpError("running ONNX models needs onnxruntime: pip install onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of classes that ONNX Runtime does not export
        reason = " ".join(str(error).split())[:300]
        raise AlpError(f"ONNX Runtime refuses the model ({reason}); export it again") from error


@BACKENDS.register("onnxruntime", order=2)
class OnnxRuntime(Backend):
    """ONNX Runtime on the processor."""

    precisions = ("float32", "int8")
    needs = NEEDS
    repair = install("onnx")

    def engine(self, defended: Defended, options: BuildOptions) -> Engine:
        from alp.deploy.graphs import build_graphs
        from alp.deploy.onnx_models import models_in

        graphs = build_graphs(defended, options.size)
        models = models_in(options.precision, graphs, options.calibration)
        held = {name: partial(bytes, model) for name, model in models.items()}
        return OnnxEngine(graphs.shapes, held, options.threads)

    def network(self, classifier: nn.Module, options: BuildOptions) -> Callable[[Floats], Floats]:
        from alp.deploy.onnx_models import classifier_model

        model = classifier_model(classifier, options.size, options.precision, options.calibration)
        session = open_session(model, options.threads)

        def run(images: Floats) -> Floats:
            logits: Floats = session.run(None, {"images": images})[0]
            return logits

        return run

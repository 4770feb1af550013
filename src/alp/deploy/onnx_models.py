"""The graphs as ONNX models, in float32 or quantised."""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from alp.deploy.engine import Floats
from alp.deploy.graphs import Graphs, classifier_graph

INPUTS: dict[str, tuple[str, ...]] = {
    "encoder": ("images",),
    "draws": ("mu", "noise"),
    "decoder": ("mu", "noise"),
    "whole": ("images",),
    "classifier": ("images",),
    "predictor": ("z", "times"),
}
"""Model to the names of its inputs."""

OUTPUTS = {
    "encoder": "mu",
    "draws": "logits",
    "decoder": "images",
    "whole": "logits",
    "classifier": "logits",
    "predictor": "noise",
}
"""Model to the name of its output."""

NOISE_AS_INPUT = ("encoder", "draws", "decoder")
"""The models whose caller draws the noise; ``whole`` draws its own."""

BATCH = 16
"""Calibration images at a time."""


def onnx_models(graphs: Graphs, names: tuple[str, ...] = NOISE_AS_INPUT) -> dict[str, bytes]:
    """The named models, serialised. Batch and draws are dynamic, the images' size is fixed."""
    parts: dict[str, nn.Module] = {
        "encoder": graphs.encode,
        "draws": graphs.draw,
        "decoder": graphs.decode,
        "whole": graphs.whole,
    }
    return {name: convert(parts[name], example(graphs, name), name) for name in names}


def quantised_models(
    models: Mapping[str, bytes], graphs: Graphs, calibration: Floats
) -> dict[str, bytes]:
    """``models`` in int8, with ranges set by what each sees of the calibration images."""
    feeds = _feeds(graphs, calibration)
    return {name: quantised(model, feeds[name]) for name, model in models.items()}


def labelled(model: bytes, classes: Sequence[str]) -> bytes:
    """``model`` with the class names, as a JSON list, in its metadata under ``classes``."""
    import onnx

    held = onnx.load_model_from_string(model)
    held.metadata_props.add(key="classes", value=json.dumps(classes))
    named: bytes = held.SerializeToString(deterministic=True)
    return named


def models_in(precision: str, graphs: Graphs, calibration: Floats | None) -> dict[str, bytes]:
    """The models whose caller draws the noise, in int8 where that is asked for."""
    models = onnx_models(graphs)
    if calibration is not None and precision == "int8":
        return quantised_models(models, graphs, calibration)
    return models


def classifier_model(
    classifier: nn.Module, size: tuple[int, int], precision: str, calibration: Floats | None
) -> bytes:
    """A classifier alone, for images of ``size``, in int8 where that is asked for."""
    images = np.random.default_rng(0).random((2, 3, *size), np.float32)
    model = convert(classifier_graph(classifier, size), (images,), "classifier")
    if precision != "int8" or calibration is None:
        return model
    return quantised(model, [{"images": batch} for batch in _batches(calibration)])


def predictor_model(network: nn.Module, inputs: Sequence[Tensor], precision: str) -> bytes:
    """The network of a diffusion model: z (B,3,H,W) and whole times (B,) -> the predicted noise.

    Args:
        network: it, in evaluation mode.
        inputs: z and times that it meets in training images, at least two: they set the image's
            size, and the ranges of int8.
        precision: int8, or another one for a float model.
    """
    z, times = (each.numpy() for each in inputs)
    model = convert(network, (z[:2], times[:2]), "predictor")
    if precision != "int8":
        return model
    return quantised(
        model,
        [{"z": a, "times": b} for a, b in zip(_batches(z), _batches(times), strict=True)],
    )


def example(graphs: Graphs, name: str, batch: int = 2, draws: int = 3) -> tuple[Floats, ...]:
    """Inputs of a model, of the right shapes."""
    shapes, random = graphs.shapes, np.random.default_rng(0)
    made = {
        "images": random.random((batch, 3, *shapes.size), np.float32),
        "mu": random.standard_normal((batch, *shapes.latent), np.float32),
        "noise": random.standard_normal((draws, batch, *shapes.latent), np.float32),
    }
    return tuple(made[each] for each in INPUTS[name])


def convert(graph: nn.Module, inputs: tuple[Floats, ...], name: str) -> bytes:
    """``graph`` as an ONNX model, by torch's exporter on ``torch.export``."""
    batch, draws = torch.export.Dim("batch", min=1), torch.export.Dim("draws", min=1)
    dynamic = {name: {0: batch} for name in ("images", "mu", "z", "times")}
    dynamic["noise"] = {0: draws, 1: batch}
    device = next(graph.parameters()).device
    with _quiet(), torch.no_grad():
        program: Any = torch.onnx.export(
            graph.eval(),
            tuple(torch.from_numpy(each).to(device) for each in inputs),
            input_names=list(INPUTS[name]),
            output_names=[OUTPUTS[name]],
            dynamic_shapes=tuple(dynamic[each] for each in INPUTS[name]),
            dynamo=True,
            verbose=False,
        )
    serialised: bytes = program.model_proto.SerializeToString()
    return serialised


def quantised(model: bytes, feeds: list[dict[str, Floats]]) -> bytes:
    """``model`` with 8-bit convolutions and products, their ranges set by ``feeds``.

    Static post-training quantisation of ONNX Runtime: weights by channel, on 7 bits, so that
    processors whose 8-bit products saturate at 16 bits compute the same.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, _quiet():
        raw, ready, small = (Path(folder) / name for name in ("raw", "ready", "small"))
        raw.write_bytes(model)
        quant_pre_process(str(raw), str(ready), skip_symbolic_shape=True)
        quantize_static(
            str(ready),
            str(small),
            _Reader(feeds),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
        return small.read_bytes()


class _Reader:
    """Calibration data as ONNX Runtime asks for it."""

    def __init__(self, feeds: list[dict[str, Floats]]) -> None:
        self._feeds: Iterator[Mapping[str, Floats]] = iter(feeds)

    def get_next(self) -> Mapping[str, Floats] | None:
        return next(self._feeds, None)


def _feeds(graphs: Graphs, calibration: Floats) -> dict[str, list[dict[str, Floats]]]:
    """What each model sees of the calibration images: themselves, or draws of their latents."""
    random = np.random.default_rng(0)
    images: list[dict[str, Floats]] = []
    latents: list[dict[str, Floats]] = []
    for batch in _batches(calibration):
        with torch.no_grad():
            mu = graphs.encode(torch.from_numpy(batch).to(graphs.decode.sigma.device)).cpu().numpy()
        images.append({"images": batch})
        latents.append({"mu": mu, "noise": random.standard_normal((1, *mu.shape), np.float32)})
    return {"encoder": images, "whole": images, "draws": latents, "decoder": latents}


def _batches(values: NDArray[Any]) -> list[NDArray[Any]]:
    return [
        np.ascontiguousarray(values[start : start + BATCH])
        for start in range(0, len(values), BATCH)
    ]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporters say about themselves."""
    loggers = [logging.getLogger(name) for name in (None, "torch.onnx")]
    levels = [each.level for each in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for each in loggers:
            each.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for each, level in zip(loggers, levels, strict=True):
                each.setLevel(level)

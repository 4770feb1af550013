"""A defended model as ONNX files, checked by ONNX Runtime before they are written."""

from __future__ import annotations

import hashlib
from copy import deepcopy
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from alp import seeding
from alp.config import digest
from alp.defences import Defended
from alp.defences.checkpoint import weights_digest
from alp.defences.packaged import require_defended
from alp.deploy.engine import Engine, Floats, check_calibration
from alp.deploy.graphs import Graphs, build_graphs
from alp.deploy.onnx_engine import OnnxEngine, open_session
from alp.deploy.onnx_models import NOISE_AS_INPUT, labelled, onnx_models, quantised_models
from alp.deploy.runtime import DESCRIPTION, FORMAT
from alp.errors import AlpError, ConfigError, install
from alp.files import expanded, require_writable, write_atomically, write_json
from alp.version import __version__

NOISES = ("input", "inside")
"""Who draws the noise: the caller, or the model."""

EXPORTED = ("float32", "int8")
"""Precisions of exported models."""

PARITY = 1e-4
"""Largest difference to torch, relative to the largest logit where that is above 1."""

BATCHES = ((1, 1), (5, 2))
"""Images and draws that parity is checked on: other ones than the graphs are traced with."""

COMPARED = 64
"""Calibration images on which a quantised model is compared with torch."""

REPEATS = 40
"""Predictions by which the noise of a model that draws inside is checked."""


def export_onnx(
    defended: Defended,
    folder: str | Path,
    *,
    noise: str = "input",
    precision: str = "float32",
    size: tuple[int, int] = (32, 32),
    calibration: Floats | None = None,
) -> dict[str, Any]:
    """Write ``defended`` to ``folder`` as ONNX models with ``export.json`` beside them.

    With the noise as an ``input`` there are ``encoder.onnx`` (images -> mu), ``draws.onnx`` (mu,
    noise -> logits of each draw) and ``decoder.onnx`` (mu, noise -> purified images); batch and
    number of draws are dynamic. With the noise ``inside`` there is ``whole.onnx`` too (images ->
    mean logits over the model's draws), whose batch is dynamic, for programs that give no noise.

    Args:
        precision: float32, or int8 with ranges set by ``calibration``.
        size: height and width of the images, fixed.
        calibration: clean training images (B,3,H,W), float32 in [0,1], for int8.

    Returns:
        What ``export.json`` holds; its ``parity`` is what ONNX Runtime computed beside torch.

    Raises:
        ConfigError: there is no such noise, precision or size, or int8 has no calibration.
        OutputError: ``folder`` cannot be written.
        AlpError: the exporter is not installed, or ONNX Runtime and torch do not agree; then
            nothing is written.
    """
    defended = require_defended(defended, "what is exported")
    folder = expanded(folder)
    require_writable(folder, DESCRIPTION)
    _require("noise", noise, NOISES)
    _require("precision", precision, EXPORTED)
    missing = [each for each in ("onnx", "onnxscript", "onnxruntime") if not find_spec(each)]
    if missing:
        raise AlpError(f"exporting needs {', '.join(missing)}: {install('onnx')}")
    if precision == "int8":
        check_calibration(calibration, size)
    inside = noise == "inside"
    defended = deepcopy(defended).cpu().float().eval()
    graphs = build_graphs(defended, size)
    models = onnx_models(graphs, (*NOISE_AS_INPUT, "whole") if inside else NOISE_AS_INPUT)
    parity = _check_halves(defended, graphs, models)
    if inside:
        parity |= _check_whole(defended, graphs, models)
    if calibration is not None and precision == "int8":
        models = quantised_models(models, graphs, calibration)
        compared = (defended, graphs, models, calibration[:COMPARED])
        parity |= {"int8": _compare_halves(*compared)}
        if inside:
            parity |= {"int8_inside": _compare_whole(*compared)}
    if defended.classes is not None:
        models = {name: labelled(model, defended.classes) for name, model in models.items()}
    described = {
        "format": FORMAT,
        "noise": noise,
        "precision": precision,
        "shapes": asdict(graphs.shapes),
        "sigma": graphs.sigma,
        "classes": defended.classes and list(defended.classes),
        "weights_digest": weights_digest(defended),
        "files": {
            name: {"file": f"{name}.onnx", "sha256": hashlib.sha256(model).hexdigest()}
            for name, model in models.items()
        },
        "parity": parity,
        "versions": {"alp": __version__}
        | {name: version(name) for name in ("torch", "onnx", "onnxruntime")},
    }
    for name, model in models.items():
        write_atomically(folder / f"{name}.onnx", partial(_write, model))
    write_json(folder / DESCRIPTION, {**described, "digest": digest(described)})
    return described


def _write(model: bytes, path: Path) -> None:
    path.write_bytes(model)


def _engine(graphs: Graphs, models: dict[str, bytes]) -> Engine:
    return OnnxEngine(
        graphs.shapes, {name: partial(bytes, each) for name, each in models.items()}, 1
    )


def _check_halves(defended: Defended, graphs: Graphs, models: dict[str, bytes]) -> dict[str, Any]:
    """Every model on given noise, against the defended model as it is.

    Raises:
        AlpError: a model differs by more than ``PARITY``.
    """
    engine = _engine(graphs, models)
    largest: dict[str, float] = {}
    for batch, draws in BATCHES:
        images, noise = _inputs(graphs, batch, draws)
        for name, (ours, theirs) in _answers(defended, engine, images, noise).items():
            scale = max(1.0, float(np.abs(theirs).max()))
            difference = float(np.abs(ours - theirs).max()) / scale
            largest[name] = max(largest.get(name, 0.0), difference)
    for name, difference in largest.items():
        if not difference <= PARITY:
            raise AlpError(
                f"ONNX Runtime and torch differ by {difference:.2g} in the {name}, more than "
                f"{PARITY:.0e}; nothing was written: the classifier has an operation that the "
                "exporter translates otherwise"
            )
    return {"largest_difference": largest, "tolerance": PARITY}


def _check_whole(defended: Defended, graphs: Graphs, models: dict[str, bytes]) -> dict[str, Any]:
    """A model that draws inside, by the mean of many predictions: within 6 standard errors of
    torch's, and never twice the same.

    Raises:
        AlpError: it is not.
    """
    session = open_session(models["whole"], 1)
    images, _ = _inputs(graphs, 4, 1)
    ours = np.stack([session.run(None, {"images": images})[0] for _ in range(REPEATS)])
    with torch.no_grad():
        source, x = seeding.generator(0, "export"), torch.from_numpy(images)
        theirs = np.stack([defended(x, source).numpy() for _ in range(REPEATS)])
    error = np.sqrt((ours.var(0, ddof=1) + theirs.var(0, ddof=1)) / REPEATS) + PARITY / 6
    largest = float((np.abs(ours.mean(0) - theirs.mean(0)) / error).max())
    if not largest < 6 or np.array_equal(ours[0], ours[1]):
        raise AlpError(
            f"the exported model's mean prediction is {largest:.2g} standard errors from torch's, "
            "or its draws are alike; nothing was written: export it with the noise as an input"
        )
    return {"standard_errors": largest, "predictions": REPEATS}


def _compare_halves(
    defended: Defended, graphs: Graphs, models: dict[str, bytes], images: Floats
) -> dict[str, float]:
    """Quantised models beside torch on calibration images, at the same noise."""
    engine = _engine(graphs, models)
    noise = engine.noise(np.random.default_rng(1), 4, len(images))
    return _differences(*_answers(defended, engine, images, noise)["draws"])


def _compare_whole(
    defended: Defended, graphs: Graphs, models: dict[str, bytes], images: Floats
) -> dict[str, float]:
    """A quantised model that draws inside beside torch, each by four predictions of its own."""
    session, x = open_session(models["whole"], 1), torch.from_numpy(np.ascontiguousarray(images))
    ours = [session.run(None, {"images": images})[0] for _ in range(4)]
    with torch.no_grad():
        theirs = [defended(x, seeding.generator(1, "export", i)).numpy() for i in range(4)]
    return _differences(np.stack(ours).mean(0)[None], np.stack(theirs).mean(0)[None])


def _differences(ours: Floats, theirs: Floats) -> dict[str, float]:
    same = ours.mean(0).argmax(1) == theirs.mean(0).argmax(1)
    return {
        "largest_difference": float(np.abs(ours - theirs).max()),
        "same_decision": float(same.mean()),
    }


def _answers(
    defended: Defended, engine: Engine, images: Floats, noise: Floats
) -> dict[str, tuple[Floats, Floats]]:
    """Model to its answer by ``engine`` and by torch."""
    purifier, given = defended.purifier, torch.from_numpy(noise)
    with torch.no_grad():
        mu = purifier.encode(torch.from_numpy(images))
        z = (mu + defended.deviation * given).flatten(0, 1)
        purified = purifier.decode(z, engine.shapes.size).clamp(0, 1)
        logits = defended.classifier(purified)
    ours = engine.encode(images)
    leading = noise.shape[:2]
    return {
        "encoder": (ours, mu.numpy()),
        "draws": (engine.decode_classify(ours, noise), logits.view(*leading, -1).numpy()),
        "decoder": (
            engine.decode(ours, noise),
            purified.view(*leading, 3, *engine.shapes.size).numpy(),
        ),
    }


def _inputs(graphs: Graphs, batch: int, draws: int) -> tuple[Floats, Floats]:
    random = np.random.default_rng(seeding.derive(0, "export", batch, draws))
    images = random.random((batch, 3, *graphs.shapes.size), np.float32)
    noise = random.standard_normal((draws, batch, *graphs.shapes.latent), np.float32)
    return images, noise


def _require(name: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise ConfigError(f"{name} is {value!r}; give one of: {', '.join(valid)}")

"""ONNX files: what is in them, and when none are written."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from alp.defences import Defended
from alp.defences.checkpoint import weights_digest
from alp.deploy import Runtime, export_onnx
from alp.deploy.graphs import WholeGraph
from alp.deploy.runtime import DESCRIPTION
from alp.errors import AlpError, ConfigError

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

pytestmark = pytest.mark.slow
ort = pytest.importorskip("onnxruntime")

SIZE = (10, 14)


def dimensions(path: Path) -> dict[str, list[int | str]]:
    """Input or output of a model to its dimensions; those with a name are dynamic."""
    graph = onnx.load(path).graph
    return {
        each.name: [part.dim_param or part.dim_value for part in each.type.tensor_type.shape.dim]
        for each in [*graph.input, *graph.output]
    }


def test_the_noise_is_an_input_and_batch_and_draws_are_dynamic(exported) -> None:
    names = {path.name for path in exported.iterdir()}
    assert names == {"encoder.onnx", "draws.onnx", "decoder.onnx", DESCRIPTION}
    latent = [8, 3, 4]
    assert dimensions(exported / "encoder.onnx") == {
        "images": ["batch", 3, *SIZE],
        "mu": ["batch", *latent],
    }
    inputs = {"mu": ["batch", *latent], "noise": ["draws", "batch", *latent]}
    assert dimensions(exported / "draws.onnx") == {**inputs, "logits": ["draws", "batch", 4]}
    purified = ["draws", "batch", 3, *SIZE]
    assert dimensions(exported / "decoder.onnx") == {**inputs, "images": purified}


def test_the_description(exported, defended) -> None:
    described = json.loads((exported / DESCRIPTION).read_text())
    assert described["weights_digest"] == weights_digest(defended)
    assert described["shapes"] == {
        "size": [*SIZE], "latent": [8, 3, 4], "classes": 4, "draws": 6,
    }  # fmt: skip
    assert described["sigma"] == pytest.approx(defended.purifier.sigma)
    assert (described["noise"], described["precision"]) == ("input", "float32")
    assert max(described["parity"]["largest_difference"].values()) < 1e-4


@pytest.mark.parametrize("batch", [1, 3, 17])
def test_the_files_are_the_defended_model(exported, defended, batch: int) -> None:
    """By ONNX Runtime as anybody would call it."""
    random = np.random.default_rng(batch)
    images = random.random((batch, 3, *SIZE), np.float32)
    noise = random.standard_normal((7, batch, 8, 3, 4), np.float32)
    encoder, draws = (ort.InferenceSession(exported / f"{n}.onnx") for n in ("encoder", "draws"))
    (mu,) = encoder.run(None, {"images": images})
    (logits,) = draws.run(None, {"mu": mu, "noise": noise})
    with torch.no_grad():
        latent = defended.encode(torch.from_numpy(images)).mu
        z = latent + defended.purifier.noise.sigma * torch.from_numpy(noise)
        purified = defended.purifier.decode(z.flatten(0, 1), SIZE).clamp(0, 1)
        expected = defended.classifier(purified).view(7, batch, 4)
    assert np.abs(logits - expected.numpy()).max() < 1e-4


def test_the_variant_that_draws_inside(inside, defended, images) -> None:
    models = {"encoder.onnx", "draws.onnx", "decoder.onnx", "whole.onnx"}
    assert {path.name for path in inside.iterdir()} == {*models, DESCRIPTION}
    session = ort.InferenceSession(inside / "whole.onnx")
    answers = np.stack([session.run(None, {"images": images})[0] for _ in range(60)])
    assert (answers.std(0) > 0).all()
    with torch.no_grad():
        mean = defended(torch.from_numpy(images), draws=600).numpy()
    assert (np.abs(answers.mean(0) - mean) < 6 * answers.std(0) / np.sqrt(30)).all()


def test_int8(defended, calibration, exported, tmp_path) -> None:
    export_onnx(defended, tmp_path, precision="int8", size=SIZE, calibration=calibration)
    described = json.loads((tmp_path / DESCRIPTION).read_text())
    assert described["parity"]["int8"]["same_decision"] >= 0.8
    assert described["parity"]["int8"]["largest_difference"] > 1e-4
    draws = "draws.onnx"
    assert (tmp_path / draws).stat().st_size < 0.6 * (exported / draws).stat().st_size
    floats, ints = Runtime(exported), Runtime(tmp_path)
    logits = floats.predict(calibration, 6, 0)
    assert np.abs(ints.predict(calibration, 6, 0) - logits).max() < 0.3 * np.abs(logits).max()


@pytest.mark.parametrize("noise", ["input", "inside"])
def test_what_differs_from_torch_is_not_written(defended, monkeypatch, tmp_path, noise) -> None:
    """The graphs are made of another model than the one they are compared with."""
    real = export_onnx.__globals__["build_graphs"]

    def another(model, size):
        with torch.no_grad():
            model = Defended(model.classifier, model.purifier, model.draws)
            graphs = real(model, size)
            graphs.draw.classifier.head.bias[0] += 0.5
        return graphs

    monkeypatch.setattr("alp.deploy.export.build_graphs", another)
    with pytest.raises(AlpError, match="nothing was written"):
        export_onnx(defended, tmp_path / "out", noise=noise, size=SIZE)
    assert not (tmp_path / "out").exists()


def test_a_model_that_draws_inside_is_checked_itself(defended, monkeypatch, tmp_path) -> None:
    real = export_onnx.__globals__["build_graphs"]

    def another(model, size):
        graphs = real(model, size)
        draw = deepcopy(graphs.draw)
        with torch.no_grad():
            draw.classifier.head.bias[0] += 0.5
        return replace(graphs, whole=WholeGraph(graphs.encode, draw, model.draws).eval())

    monkeypatch.setattr("alp.deploy.export.build_graphs", another)
    with pytest.raises(AlpError, match=r"standard errors.*nothing was written"):
        export_onnx(defended, tmp_path / "out", noise="inside", size=SIZE)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": "outside"}, "give one of: input, inside"),
        ({"precision": "bfloat16"}, "give one of: float32, int8"),
        ({"precision": "int8"}, "int8 needs some clean training images"),
        ({"size": (0, 4)}, "height and a width"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_used(defended, tmp_path, options, message) -> None:
    with pytest.raises(ConfigError, match=message):
        export_onnx(defended, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_without_the_exporter(defended, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("alp.deploy.export.find_spec", lambda name: None)
    with pytest.raises(AlpError, match=r"onnxscript.*pip install .*\.\[onnx\]"):
        export_onnx(defended, tmp_path / "out")

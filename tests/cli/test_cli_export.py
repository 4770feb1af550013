"""``alp export``."""

from __future__ import annotations

import json

import numpy as np
import pytest

from alp.deploy import Runtime

pytest.importorskip("onnxscript")

pytestmark = pytest.mark.slow


def test_export_and_run(alp, weights, pictures, tmp_path) -> None:
    told = alp(
        "export", weights.defended, "--out", tmp_path, "--size", 16, "--draws", 3,
        "--noise", "inside", "--precision", "int8", "--data", pictures, "--images", 8, "--json",
    )  # fmt: skip
    assert told.status == 0
    assert not told.err
    described = json.loads(told.out)
    assert described["precision"] == "int8"
    assert described["shapes"]["draws"] == 3
    for each in ("int8", "int8_inside"):
        assert 0 <= described["parity"][each]["same_decision"] <= 1
    logits = Runtime(tmp_path).predict(np.zeros((2, 3, 16, 16), np.float32))
    assert logits.shape == (2, 3)


def test_what_was_written_is_told(alp, weights, tmp_path) -> None:
    told = alp("export", weights.defended, "--out", tmp_path, "--size", 16)
    assert told.status == 0
    assert all(name in told.out for name in ("encoder.onnx", "draws.onnx", "decoder.onnx", "MiB"))
    assert "largest difference" in told.out


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("classifier", [], "without a purifier"),
        ("purifier", [], "classifies nothing"),
        ("defended", ["--size", 0], "size is 0"),
        ("defended", ["--noise", "outside"], "give one of: 'input', 'inside'"),
    ],
)
def test_what_cannot_be_exported(alp, weights, tmp_path, kind, options, message) -> None:
    told = alp("export", getattr(weights, kind), "--out", tmp_path / "out", *options)
    assert told.status in (1, 2)
    assert message in told.err
    assert not (tmp_path / "out").exists()

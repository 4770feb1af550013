"""``alp certify``."""

from __future__ import annotations

import json
import shutil

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def line(weights, pictures, tmp_path) -> list[object]:
    given = ["--data", pictures, "--images", 6, "--sigma", 0.05, "--radii", 0, 0.02]
    return ["certify", weights.classifier, *given, "--budget", 1000, "--out", tmp_path]


def test_it_prints_what_is_proved(alp, line) -> None:
    told = alp(*line, "--attack", 2)
    assert told.status == 0, told.err
    words = " ".join(told.out.split())
    for part in ("plain", "0.02", "certified", "votes an image", "decisions changed", "records"):
        assert part in words, part
    assert "votes" in told.err


def test_json_and_a_finished_record(alp, line) -> None:
    first = json.loads(alp(*line, "--json").out)
    again = alp(*line, "--json")
    assert json.loads(again.out) == first
    assert "a second" not in again.err, "a finished record is read"
    model = first["models"][0]
    assert model["images"] == 6
    assert [row["radius"] for row in model["certified"]] == [0, 0.02]


def test_several_models_are_compared_on_the_same_images(alp, line, weights, tmp_path) -> None:
    other = tmp_path / "other" / "weights.safetensors"
    other.parent.mkdir()
    shutil.copy(weights.classifier, other)
    several = [line[0], weights.classifier, other, *line[2:]]
    first, second = json.loads(alp(*several, "--json").out)["models"]
    assert all("paired" not in row for row in first["certified"])
    for here, there in zip(second["certified"], first["certified"], strict=True):
        assert here["paired"]["value"] == pytest.approx(here["value"] - there["value"])
        assert here["paired"]["low"] <= here["paired"]["value"] <= here["paired"]["high"]
    told = alp(*several)
    assert f"paired with {first['name']}" in " ".join(told.out.split())


def test_more_budget_goes_on(alp, line) -> None:
    first = json.loads(alp(*line, "--json").out)["models"][0]
    larger = ["1500" if part == 1000 else part for part in line]
    second = json.loads(alp(*larger, "--json").out)["models"][0]
    assert second["budget"] == 1500
    assert second["votes"] >= first["votes"]


def test_a_defended_model_is_refused(alp, line, weights) -> None:
    told = alp("certify", weights.defended, *line[2:])
    assert told.status == 1
    assert "averages logits over its own noise" in told.err


def test_a_plan_that_certifies_nothing_is_refused(alp, line) -> None:
    told = alp(*line, "--radii", 0.3)
    assert told.status == 1
    assert "no number of votes certifies the radius 0.3" in told.err


def test_an_engine_votes_in_several_processes(alp, line, tmp_path) -> None:
    pytest.importorskip("onnxruntime")
    told = alp(*line, "--backend", "onnxruntime", "--processes", 2, "--json")
    assert told.status == 0, told.err
    assert json.loads(told.out)["models"][0]["images"] == 6
    (record,) = (tmp_path / "records").glob("*.json")
    header = json.loads(record.read_bytes())["header"]
    assert (header["backend"], header["threads"]) == ("onnxruntime", 1)
    other = alp(*line, "--processes", 2)
    assert other.status == 1
    assert "differs in backend, libraries; give its settings" in " ".join(other.err.split())


def test_a_precision_that_the_backend_lacks(alp, line) -> None:
    told = alp(*line, "--precision", "int8")
    assert told.status == 1
    assert "take backend onnxruntime or openvino" in " ".join(told.err.split())

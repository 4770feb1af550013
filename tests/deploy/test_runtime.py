"""The runner of exported models: no torch, and nothing that is damaged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from alp.config import digest
from alp.deploy import Consensus, Runtime
from alp.deploy.runtime import DESCRIPTION
from alp.errors import AlpError, CheckpointError

pytestmark = pytest.mark.slow

pytest.importorskip("onnxruntime")


@pytest.fixture
def copy(exported, tmp_path) -> Path:
    """A folder of one's own."""
    return Path(shutil.copytree(exported, tmp_path / "copy"))


def test_it_runs_where_there_is_no_torch(exported, images, tmp_path) -> None:
    np.save(tmp_path / "images.npy", images)
    code = f"""
import sys
sys.modules["torch"] = None
import numpy as np
import alp, alp.deploy
runtime = alp.deploy.Runtime({str(exported)!r}, threads=1)
images = np.load({str(tmp_path / "images.npy")!r})
np.save({str(tmp_path / "logits.npy")!r}, runtime.predict(images, generator=3))
outcome = runtime.vote(images, alp.deploy.Consensus(draws=6))
assert outcome.logits.shape == (5, 4) and runtime.purify(images).shape == images.shape
assert not [name for name in sys.modules if name.split(".")[0] == "torch" and sys.modules[name]]
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    logits = np.load(tmp_path / "logits.npy")
    assert np.array_equal(logits, Runtime(exported, 1).predict(images, generator=3))


def test_it_predicts_what_the_eager_engine_does(exported, images, engine_of) -> None:
    runtime, eager = Runtime(exported, threads=1), engine_of("eager")
    assert runtime.draws == 6
    for draws in (None, 1, 20):
        ours, theirs = (each.predict(images, draws, 0) for each in (runtime, eager))
        assert np.abs(ours - theirs).max() < 1e-4
    assert np.abs(runtime.purify(images, 0) - eager.purify(images, 0)).max() < 1e-4
    rule = Consensus(draws=12, first=2, group=1, error=0.9)
    assert (runtime.vote(images, rule, 0).draws == eager.vote(images, rule, 0).draws).all()


def test_the_noise_is_the_operating_systems(exported, images) -> None:
    one, other = Runtime(exported), Runtime(exported)
    assert not np.array_equal(one.predict(images), other.predict(images))


def test_the_noise_is_drawn_outside_of_the_variant_that_draws_inside(
    exported, inside, images
) -> None:
    runtime, other = Runtime(inside, threads=1), Runtime(exported, threads=1)
    assert np.array_equal(runtime.predict(images, generator=3), other.predict(images, generator=3))
    assert np.array_equal(runtime.purify(images, 3), other.purify(images, 3))
    assert not np.array_equal(runtime.predict(images), runtime.predict(images))


@pytest.mark.parametrize("folder", ["exported", "inside"])
def test_forked_workers_draw_differently(folder, request, images, answers_of_forks) -> None:
    runtime = Runtime(request.getfixturevalue(folder), threads=1)
    runtime.predict(images)
    assert len(answers_of_forks(lambda: runtime.predict(images).tobytes())) == 3
    assert len(answers_of_forks(lambda: runtime.predict(images, generator=3).tobytes())) == 1


def test_a_folder_that_only_draws_inside_is_refused(inside, tmp_path) -> None:
    folder = Path(shutil.copytree(inside, tmp_path / "old"))
    described = json.loads((folder / DESCRIPTION).read_text())
    described["files"] = {"whole": described["files"]["whole"]}
    del described["digest"]
    sealed = {**described, "digest": digest(described)}
    (folder / DESCRIPTION).write_text(json.dumps(sealed))
    with pytest.raises(CheckpointError, match=r"\(encoder, draws, decoder\); export it again"):
        Runtime(folder)


@pytest.mark.parametrize("name", ["encoder.onnx", "draws.onnx", "decoder.onnx"])
def test_a_flipped_bit_is_refused(copy, images, name: str) -> None:
    held = bytearray((copy / name).read_bytes())
    held[len(held) // 2] ^= 1
    (copy / name).write_bytes(held)
    with pytest.raises(CheckpointError, match=rf"{name} is damaged.*export it again"):
        Runtime(copy).purify(images)


def test_other_damage_is_named(copy) -> None:
    with pytest.raises(CheckpointError, match="alp export"):
        Runtime(copy / "nowhere")
    path = copy / DESCRIPTION
    described = json.loads(path.read_text())
    for changes, message in (
        ({"shapes": {**described["shapes"], "draws": 1}}, "is damaged"),
        ({"format": "alp-onnx-0"}, "not 'alp-onnx-1'"),
    ):
        path.write_text(json.dumps({**described, **changes}))
        with pytest.raises(CheckpointError, match=message):
            Runtime(copy)
    path.write_text(json.dumps(described))
    (copy / "draws.onnx").unlink()
    with pytest.raises(CheckpointError, match=r"draws\.onnx cannot be read"):
        Runtime(copy)


def test_without_the_runtime(exported, monkeypatch) -> None:
    monkeypatch.setattr("alp.deploy.onnx_engine.find_spec", lambda name: None)
    with pytest.raises(AlpError, match="pip install onnxruntime"):
        Runtime(exported)

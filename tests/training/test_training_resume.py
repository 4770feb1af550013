"""Killed at any point and started again, a training ends in bit-identical weights."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import alp
from alp.config import (
    ClassifierConfig,
    DiffusionConfig,
    EngineConfig,
    LatentsConfig,
    PurifierConfig,
)
from alp.defences.checkpoint import load_model
from alp.errors import CheckpointError
from alp.training import (
    AdversaryConfig,
    CertifiedStage,
    ClassifierStage,
    DenoiserStage,
    DiffusionStage,
    DistilledStage,
    EnsembleStage,
    GuardStage,
    HGDStage,
    JointStage,
    PurifierStage,
    UnifiedStage,
)
from alp.training.train import train

pytestmark = pytest.mark.slow

STEPS = 8
CODE = PurifierConfig(latent_channels=8, width=8, blocks=1)
HEAD = ClassifierConfig(size="tiny", classes=4)
NEEDS = {
    "purifier": (),
    "nfgsm": (),
    "pgd": (),
    "purified": ("purifier",),
    "trades": ("purifier",),
    "joint": ("purifier", "classifier"),
    "certified": ("classifier",),
    "diffusion": (),
    "hgd": ("classifier",),
    "ensemble": (),
    "distilled": ("classifier",),
    "unified": (),
    "denoiser": ("purifier", "classifier"),
    "guard": ("purifier", "classifier"),
}


class Killed(Exception):
    pass


@pytest.fixture
def stages(short):
    """Every stage, with both optimisers and every adversary among them."""
    adam = short(optimizer="adamw", lr=2e-3, clip=1.0)

    def classifier(method: str, **settings) -> ClassifierStage:
        return ClassifierStage(HEAD, AdversaryConfig(method, steps=2), optim=short(), **settings)

    return {
        "purifier": PurifierStage(CODE, optim=adam),
        "nfgsm": classifier("nfgsm"),
        "pgd": classifier("pgd"),
        "purified": classifier("none", draws=2),
        "trades": classifier("trades"),
        "joint": JointStage(HEAD, AdversaryConfig("nfgsm"), optim=adam),
        "certified": CertifiedStage(HEAD, optim=short()),
        "diffusion": DiffusionStage(DiffusionConfig(width=4), optim=adam),
        "hgd": HGDStage(width=4, optim=adam),
        "ensemble": EnsembleStage(HEAD, optim=short()),
        "distilled": DistilledStage(HEAD, optim=adam),
        "unified": UnifiedStage(LatentsConfig(4, 8), optim=adam),
        "denoiser": DenoiserStage(reconstruction=1.0, optim=adam),
        "guard": GuardStage(agreement=1.0, reconstruction=1.0, optim=adam),
    }


@pytest.fixture
def start(stages, toy, parents, engine):
    """Train a stage, in one second a step by the loop's clock; killed after some steps."""

    def run(name: str, folder: Path, killed_after: int = 0, engine=engine, **settings):
        def report(step: int, steps: int, scalars) -> None:
            assert steps == STEPS
            if step == killed_after:
                raise Killed

        weights = {kind: parents[kind] for kind in NEEDS[name]}
        if name == "ensemble":
            weights["others"] = [parents["classifier"]]
        clock = SimpleNamespace(monotonic=itertools.count().__next__)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("alp.training.loop.time", clock)
            return train(
                stages[name], folder, toy, engine=engine, report=report, **weights, **settings
            )

    return run


def same(one, other) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a[0] == b[0] and torch.equal(a[1], b[1]) for a, b in pairs)


@pytest.mark.parametrize("name", NEEDS)
def test_every_stage_resumes_to_the_same_bits(start, engine, tmp_path: Path, name: str) -> None:
    """Saved after steps 3 and 6: killed before any save, right after one, and in between, twice."""
    whole = start(name, tmp_path / "whole")
    often = EngineConfig(**{**vars(engine), "save_every": 2.5})
    for place, kills in enumerate([(1,), (4,), (5, 8)]):
        folder = tmp_path / str(place)
        for killed_after in kills:
            with pytest.raises(Killed):
                start(name, folder, killed_after, often)
            assert not (folder / "weights.safetensors").exists()
        assert (folder / "checkpoint.safetensors").exists() is (kills != (1,))
        resumed = start(name, folder, engine=often)
        assert same(whole.model, resumed.model)
        assert same(whole.model, load_model(resumed.path))
        for entry in ("curve", "key", "weights_digest", "steps"):
            assert resumed.record[entry] == whole.record[entry]
        assert sorted(p.name for p in folder.iterdir()) == ["training.json", "weights.safetensors"]


def test_resuming_does_resume(start, engine, stages, toy, tmp_path: Path) -> None:
    """Not start over, which would give the same bits."""
    often = EngineConfig(**{**vars(engine), "save_every": 2.5})
    with pytest.raises(Killed):
        start("purifier", tmp_path, 5, often)
    steps = []
    train(
        stages["purifier"],
        tmp_path,
        toy,
        engine=engine,
        report=lambda step, steps_, scalars: steps.append(step),
    )
    assert steps == [4, 5, 6, 7, 8]


def test_killed_after_the_last_step_nothing_is_trained_again(
    start, stages, engine, toy, tmp_path: Path
) -> None:
    whole = start("purifier", tmp_path / "whole")
    always = EngineConfig(**{**vars(engine), "save_every": 0.5})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alp.training.train.write_json", _killed)
        with pytest.raises(Killed):
            start("purifier", tmp_path / "cut", engine=always)
    resumed = train(stages["purifier"], tmp_path / "cut", toy, engine=engine, report=_killed)
    assert same(whole.model, resumed.model)
    assert resumed.record["curve"] == whole.record["curve"]


def _killed(*arguments) -> None:
    raise Killed


@pytest.mark.parametrize("name", ["purifier", "nfgsm"])
def test_mixed_precision_resumes_to_the_same_bits(start, engine, tmp_path, name: str) -> None:
    mixed = EngineConfig(**{**vars(engine), "precision": "bf16-mixed", "save_every": 2.5})
    whole = start(name, tmp_path / "whole", engine=mixed)
    with pytest.raises(Killed):
        start(name, tmp_path / "cut", 5, mixed)
    assert same(whole.model, start(name, tmp_path / "cut", engine=mixed).model)


def test_a_damaged_checkpoint_is_refused_with_what_to_do(start, engine, tmp_path: Path) -> None:
    often = EngineConfig(**{**vars(engine), "save_every": 2.5})
    with pytest.raises(Killed):
        start("purifier", tmp_path, 5, often)
    checkpoint = tmp_path / "checkpoint.safetensors"
    content = bytearray(checkpoint.read_bytes())
    content[-3] ^= 4
    checkpoint.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"checkpoint\.safetensors is damaged.*delete it"):
        start("purifier", tmp_path)
    checkpoint.unlink()
    start("purifier", tmp_path)


def test_a_checkpoint_of_another_seed_is_refused(start, engine, tmp_path: Path) -> None:
    often = EngineConfig(**{**vars(engine), "save_every": 2.5})
    with pytest.raises(Killed):
        start("purifier", tmp_path, 5, often)
    with pytest.raises(CheckpointError, match="other settings"):
        start("purifier", tmp_path, seed=1)


@pytest.mark.parametrize(("first", "second"), [("1", "2"), ("2", "1")])
def test_a_checkpoint_of_the_other_seeding_is_refused(
    start, engine, tmp_path: Path, monkeypatch, first, second
) -> None:
    often = EngineConfig(**{**vars(engine), "save_every": 2.5})
    monkeypatch.setenv("ALP_SEEDING", first)
    with pytest.raises(Killed):
        start("purifier", tmp_path, 5, often)
    monkeypatch.setenv("ALP_SEEDING", second)
    with pytest.raises(CheckpointError, match="ALP_SEEDING"):
        start("purifier", tmp_path)
    monkeypatch.setenv("ALP_SEEDING", first)
    start("purifier", tmp_path)


SCRIPT = """
import os, signal, sys
from pathlib import Path
import torch
from safetensors.torch import load_file
from alp.config import EngineConfig, OptimConfig, PurifierConfig
from alp.data import Images
from alp.training import PurifierStage
from alp.training.train import train

def report(step, steps, scalars):
    if step == 5:
        os.kill(os.getpid(), signal.SIGKILL)

folder = Path(sys.argv[1])
toy = load_file(folder / "toy.safetensors")
toy = Images.of(toy["images"], toy["labels"], "abcd", "toy", "train")
optim = OptimConfig(epochs=2, batch_size=16, lr=2e-3, ema=0.9, optimizer="adamw", clip=1.0)
engine = EngineConfig(accelerator="cpu", precision="32-true", threads=1, save_every=1e-9)
train(PurifierStage(PurifierConfig(8, 8, 1), optim=optim), folder, toy, engine=engine,
      report=report)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_killed_process_resumes_to_the_same_bits(start, toy, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    save_file({"images": toy.images, "labels": toy.labels}, tmp_path / "toy.safetensors")
    environment = os.environ | {"PYTHONPATH": str(Path(alp.__file__).parents[1])}
    killed = subprocess.run([sys.executable, script, tmp_path], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "checkpoint.safetensors").exists()
    resumed = start("purifier", tmp_path)
    assert same(start("purifier", tmp_path / "whole").model, resumed.model)
    assert not (tmp_path / "checkpoint.safetensors").exists()

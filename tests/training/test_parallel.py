"""Two and four processes, and two machines, train what one process does with the same global
batch."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import alp
from alp.config import ClassifierConfig, EngineConfig, OptimConfig, PurifierConfig, to_dict
from alp.defences.checkpoint import load_model
from alp.files import write_json
from alp.training import AdversaryConfig, ClassifierStage, PurifierStage
from alp.training.train import train

pytestmark = pytest.mark.slow

SOURCE = Path(alp.__file__).parents[1]

SCRIPT = """
import os, sys
from pathlib import Path
from safetensors.torch import load_file
from alp.config import ClassifierConfig, EngineConfig, OptimConfig, PurifierConfig, from_dict
from alp.data import Images
from alp.errors import ConfigError
from alp.files import read_json
from alp.training import ClassifierStage, PurifierStage
from alp.training.train import train

folder = Path(sys.argv[1])
toy = load_file(folder / "toy.safetensors")
toy = Images.of(toy["images"], toy["labels"], "abcd", "toy", "train")
world = int(sys.argv[2])
engine = EngineConfig("cpu", devices=world, precision="32-true", threads=1, save_every=1e-9)
stages = read_json(folder / "stages.json", ConfigError)
purifier = from_dict(PurifierStage, stages["purifier"])
classifier = from_dict(ClassifierStage, stages["classifier"])

class Cut(Exception):
    pass

def report(step, steps, scalars):
    if step == 5:
        raise Cut

def cut_and_resumed(stage, place, **weights):
    try:
        train(stage, folder / place, toy, engine=engine, report=report, **weights)
    except Cut:
        train(stage, folder / place, toy, engine=engine, **weights)

train(purifier, folder / "purifier", toy, engine=engine)
cut_and_resumed(purifier, "purifier-resumed")
if world == 4:
    sys.exit()
front = folder / "purifier" / "weights.safetensors"
train(classifier, folder / "classifier", toy, engine=engine, purifier=front)
cut_and_resumed(classifier, "classifier-resumed", purifier=front)
try:
    train(from_dict(PurifierStage, stages["odd"]), folder / "odd", toy, engine=engine)
except ConfigError as error:
    rank = os.environ["LOCAL_RANK"]
    (folder / f"refused-{rank}").write_text(str(error))
"""


@pytest.fixture(scope="module", autouse=True)
def first_scheme() -> Iterator[None]:
    """The bound on the curves of batch normalisation was measured at the draws of the first seeding
    scheme."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALP_SEEDING", "1")
        yield


@pytest.fixture(scope="module")
def stages() -> dict[str, PurifierStage | ClassifierStage]:
    def optim(batch: int, epochs: float = 2) -> OptimConfig:
        return OptimConfig(epochs, batch, "adamw", lr=2e-3, weight_decay=0.0, clip=1.0, ema=0.9)

    code, head = PurifierConfig(8, 8, 1), ClassifierConfig("tiny", 4)
    return {
        "purifier": PurifierStage(code, optim=optim(16)),
        "classifier": ClassifierStage(head, AdversaryConfig("nfgsm"), optim=optim(32, 4)),
        "odd": PurifierStage(code, optim=optim(15)),
    }


@pytest.fixture(scope="module")
def two(stages, toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what two processes trained."""
    return trained_by(2, stages, toy, tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module")
def four(stages, toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The purifiers of four processes."""
    return trained_by(4, stages, toy, tmp_path_factory.mktemp("four"))


def trained_by(world: int, stages, toy, folder: Path) -> Path:
    save_file({"images": toy.images, "labels": toy.labels}, folder / "toy.safetensors")
    write_json(folder / "stages.json", {name: to_dict(s) for name, s in stages.items()})
    script = folder / "script.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(Path(alp.__file__).parents[1])}
    finished = subprocess.run(
        [sys.executable, script, folder, str(world)],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == ""  # results may be piped
    return folder


@pytest.fixture(scope="module")
def one(stages, toy, two: Path, tmp_path_factory: pytest.TempPathFactory):
    """The same trainings by one process; the classifier behind the same purifier."""
    engine = EngineConfig("cpu", 1, "32-true", threads=1)
    folder = tmp_path_factory.mktemp("one")
    purifier = two / "purifier" / "weights.safetensors"
    return {
        "purifier": train(stages["purifier"], folder / "purifier", toy, engine=engine),
        "classifier": train(
            stages["classifier"], folder / "classifier", toy, engine=engine, purifier=purifier
        ),
    }


def finished(folder: Path, stages, toy, name: str, **weights: Path):
    """What is there is read, and not trained again: a report would fail."""
    return train(
        stages[name], folder / name, toy, report=lambda *step: pytest.fail("trained"), **weights
    )


@pytest.mark.parametrize("world", [2, 4])
def test_the_purifier_is_the_same(one, world: int, stages, toy, request) -> None:
    """Up to the order in which floats are added: 1e-4 of the loss at every step."""
    folder = request.getfixturevalue({2: "two", 4: "four"}[world])
    alone, shared = one["purifier"], finished(folder, stages, toy, "purifier")
    assert shared.record["processes"] == world
    assert alone.record["processes"] == 1
    for name, curve in alone.record["curve"].items():
        assert shared.record["curve"][name] == pytest.approx(curve, rel=1e-4), name
    pairs = zip(alone.model.parameters(), shared.model.parameters(), strict=True)
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in pairs)
    first, *_, last = alone.record["curve"]["loss"]
    assert abs(last / first - 1) > 0.01  # the training moves by far more than that


def test_the_classifier_is_alike(one, two: Path, stages, toy) -> None:
    """Batch normalisation sees each process's half of the batch, so that the curves differ as
    those of another batch size do: 10 % of the loss at every step."""
    weights = two / "purifier" / "weights.safetensors"
    alone, shared = one["classifier"], finished(two, stages, toy, "classifier", purifier=weights)
    curves = [run.record["curve"]["loss"] for run in (alone, shared)]
    assert curves[1] == pytest.approx(curves[0], rel=0.1)


@pytest.mark.parametrize("name", ["purifier", "classifier"])
def test_two_processes_resume_to_the_same_bits(two: Path, name: str) -> None:
    whole = load_model(two / name / "weights.safetensors").state_dict()
    resumed = load_model(two / f"{name}-resumed" / "weights.safetensors").state_dict()
    assert all(torch.equal(value, resumed[entry]) for entry, value in whole.items())


def test_four_processes_resume_to_the_same_bits(four: Path) -> None:
    test_two_processes_resume_to_the_same_bits(four, "purifier")


def test_two_machines_train_what_two_processes_do(two: Path, tmp_path: Path) -> None:
    """Each machine is a torchrun, started by nobody else."""
    code = (two / "script.py").read_text().partition("cut_and_resumed(purifier")[0]
    code = (
        code.replace("world = int(sys.argv[2])\n", "")
        .replace("devices=world", "nodes=2")
        .replace('folder / "purifier"', "out")
    )
    script = tmp_path / "script.py"
    script.write_text(code.replace("toy = load_file", "out = Path(sys.argv[2])\ntoy = load_file"))
    run = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc_per_node", "1"]
    run += ["--master_addr", "127.0.0.1", "--master_port", str(free_port())]
    # Several processes of a machine get one thread each; a single one would get all cores.
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    machines = [
        subprocess.Popen(
            [*run, "--node_rank", str(rank), script, two, tmp_path / "out"], env=environment
        )
        for rank in (0, 1)
    ]
    assert [machine.wait(240) for machine in machines] == [0, 0]
    weights = [folder / "weights.safetensors" for folder in (two / "purifier", tmp_path / "out")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_a_batch_that_cannot_be_shared_out_is_refused_by_both(two: Path) -> None:
    for rank in (0, 1):
        assert "cannot be shared out among 2" in (two / f"refused-{rank}").read_text()


def test_nothing_is_left_but_weights_and_records(two: Path) -> None:
    for name in ("purifier", "purifier-resumed", "classifier", "classifier-resumed"):
        files = sorted(path.name for path in (two / name).iterdir())
        assert files == ["training.json", "weights.safetensors"]

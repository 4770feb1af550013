"""What a training tells trackers."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from alp.config import PurifierConfig
from alp.errors import AlpError, UnknownNameError
from alp.training import PurifierStage
from alp.training.train import train

STAGE = PurifierConfig(latent_channels=8, width=8, blocks=1)


@pytest.fixture
def tracked(toy, short, engine, tmp_path):
    """Trains two steps and tells the named trackers."""

    def run(*names: str, folder: str = "run", **options: Any) -> Path:
        stage = PurifierStage(STAGE, optim=short(epochs=0.5, batch_size=16))
        train(stage, tmp_path / folder, toy, engine=engine, track=names, **options)
        return tmp_path / folder

    return run


def test_every_step_is_in_the_table_and_the_weights_are_the_same(tracked) -> None:
    steps: list[float] = []
    folder = tracked("csv", report=lambda step, total, scalars: steps.append(scalars["loss"]))
    with (folder / "tracked/csv/version_0/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [1, 2]
    assert [float(row["loss"]) for row in rows] == steps
    plain = tracked(folder="plain")
    assert not (plain / "tracked").exists()
    first, second = ((each / "weights.safetensors").read_bytes() for each in (folder, plain))
    assert first == second


def test_a_finished_training_tells_nobody_again(tracked) -> None:
    folder = tracked("csv")
    tracked("csv")
    assert [path.name for path in (folder / "tracked/csv").iterdir()] == ["version_0"]


def test_tensorboard_reads_its_file(tracked) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tracked("tensorboard")
    found = EventAccumulator(str(folder / "tracked/tensorboard/version_0")).Reload()
    assert {"loss", "sigma"} <= set(found.Tags()["scalars"])
    assert [each.step for each in found.Scalars("loss")] == [1, 2]


class Run:
    """What wandb.init and trackio.init give."""

    def __init__(self) -> None:
        self.told: list[tuple[int, set[str]]] = []
        self.finished = False

    def log(self, metrics: dict[str, float], step: int) -> None:
        self.told.append((step, set(metrics)))

    def finish(self) -> None:
        self.finished = True


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_run_is_told_every_step_and_finished(tracked, monkeypatch, name) -> None:
    run, begun = Run(), {}
    module = ModuleType(name)
    module.__spec__ = type(sys.__spec__)(name, None)
    module.init = lambda **options: (begun.update(options), run)[1]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, name, module)
    tracked(name)
    assert [step for step, _ in run.told] == [1, 2]
    assert all("loss" in names for _, names in run.told)
    assert run.finished
    assert begun["name"] == "run"
    assert begun["config"]["seed"] == 0


def test_a_run_is_finished_when_the_training_fails(tracked, monkeypatch) -> None:
    run, module = Run(), ModuleType("wandb")
    module.__spec__ = type(sys.__spec__)("wandb", None)
    module.init = lambda **options: run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", module)

    def interrupt(*report: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tracked("wandb", report=interrupt)
    assert run.finished


def test_mlflow_keeps_every_step(tracked, monkeypatch) -> None:
    mlflow = pytest.importorskip("mlflow", exc_type=ImportError)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tracked("mlflow")
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'tracked/mlflow/mlflow.db'}")
    experiment = client.get_experiment_by_name("alp")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["seed"] == "0"
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [each.step for each in history] == [1, 2]


def test_a_tracker_that_is_missing_or_cannot_start_is_named(tracked, monkeypatch) -> None:
    with pytest.raises(UnknownNameError, match="csv"):
        tracked("paper")
    monkeypatch.setattr("alp.training.trackers.find_spec", lambda module: None)
    with pytest.raises(AlpError, match="pip install"):
        tracked("wandb")
    monkeypatch.undo()
    module = ModuleType("wandb")
    module.__spec__ = type(sys.__spec__)("wandb", None)
    monkeypatch.setitem(sys.modules, "wandb", module)
    with pytest.raises(AlpError, match="wandb could not start"):
        tracked("wandb")

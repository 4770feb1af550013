"""Fabric's loggers, and those that Fabric lacks, in Fabric's form."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.csv_logs import CSVLogger
from lightning_fabric.loggers.logger import Logger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger

PROJECT = "alp"
"""Project, or experiment, of every training in wandb, trackio and MLflow."""

_BUFFER = 500
"""Scalars that MLflow is sent at a time; it takes at most 1000."""

Settings = dict[str, Any]


class RunLogger(Logger):
    """A run of wandb, or of trackio, which has the same calls."""

    def __init__(self, run: Any, name: str) -> None:
        self._run, self._name = run, name

    @property
    def name(self) -> str:
        return self._name

    @property
    def version(self) -> str:
        return str(getattr(self._run, "id", self._name))

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self._run.log(metrics, step=step)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """They are given when the run starts."""

    def finalize(self, status: str) -> None:
        self._run.finish()


class MLflowLogger(Logger):
    """A run of MLflow. Scalars are sent many at a time: each call waits for a database."""

    def __init__(self, client: Any, run: Any, name: str) -> None:
        self._client, self._run, self._name = client, run, name
        self._waiting: list[Any] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def version(self) -> str:
        return str(self._run.info.run_id)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self._waiting += [Metric(key, each, now, step or 0) for key, each in metrics.items()]
        if len(self._waiting) >= _BUFFER:
            self.save()

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """They are given when the run starts."""

    def save(self) -> None:
        self._client.log_batch(self.version, metrics=self._waiting)
        self._waiting = []

    def finalize(self, status: str) -> None:
        self.save()
        self._client.set_terminated(self.version, "FINISHED" if status == "success" else "FAILED")


def _csv(place: Path, run: str, settings: Settings) -> Logger:
    return CSVLogger(place, name=None)


def _tensorboard(place: Path, run: str, settings: Settings) -> Logger:
    return TensorBoardLogger(place, name=None)


def _wandb(place: Path, run: str, settings: Settings) -> Logger:
    import wandb

    place.mkdir(parents=True, exist_ok=True)
    begun = wandb.init(project=PROJECT, name=run, dir=str(place), config=settings)
    return RunLogger(begun, run)


def _trackio(place: Path, run: str, settings: Settings) -> Logger:
    import trackio

    return RunLogger(trackio.init(project=PROJECT, name=run, config=settings), run)


def _mlflow(place: Path, run: str, settings: Settings) -> Logger:
    import mlflow
    from mlflow.entities import Param

    # Where the user has named no server, the database lies beside the weights.
    if not mlflow.environment_variables.MLFLOW_TRACKING_URI.defined:
        place.mkdir(parents=True, exist_ok=True)
        client = mlflow.MlflowClient(f"sqlite:///{place.resolve() / 'mlflow.db'}")
    else:
        client = mlflow.MlflowClient()
    known = client.get_experiment_by_name(PROJECT)
    experiment = known.experiment_id if known else client.create_experiment(PROJECT)
    begun = client.create_run(experiment, run_name=run)
    client.log_batch(
        begun.info.run_id, params=[Param(key, str(each)[:500]) for key, each in settings.items()]
    )
    return MLflowLogger(client, begun, run)


OPEN: dict[str, Callable[[Path, str, Settings], Logger]] = {
    "csv": _csv,
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
    "trackio": _trackio,
}
"""Name of a tracker to what opens it: (folder, name of the training, settings) -> logger."""

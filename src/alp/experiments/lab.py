"""Where an experiment keeps its models and records, and how it makes them only once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch

from alp.attacks import Attack
from alp.data import Images, load_data
from alp.defences.base import Defence, Model
from alp.defences.checkpoint import weights_digest
from alp.defences.packaged import load, packaged_names
from alp.errors import RecordError
from alp.evaluation import About
from alp.evaluation.points import Point, evaluate_points
from alp.executors import is_first_process
from alp.experiments.judging import Panel, device_of, evaluate_model, judge_model
from alp.experiments.protocol import Protocol
from alp.records import Record, read, write
from alp.training.recipes import recipe
from alp.training.stages import PurifierStage, Stage
from alp.training.train import Trained, in_brief, train

Report = Callable[[str, int, int, str], None]
"""Called with (what is being done, finished images, all images, detail)."""

LEAST = 8
"""Images that an experiment looks at, whatever its share."""

T = TypeVar("T")


@dataclass(frozen=True)
class Lab:
    """A folder of experiments, as one of them sees it. Everything is made once: called again after
    a kill, each method resumes where it was, or reads what is there."""

    root: Path
    """The folder: ``models`` of all experiments, and a folder for each one's records."""
    item: str
    """The experiment."""
    protocol: Protocol
    """How it is run."""
    report: Report
    """Called as it goes on."""

    @property
    def folder(self) -> Path:
        """The experiment's own folder."""
        return self.root / self.item

    @property
    def device(self) -> str:
        """Where models are evaluated."""
        return device_of(self.protocol.engine.accelerator)

    @cached_property
    def training_images(self) -> Images:
        """The training split, without the validation images."""
        return load_data(self.protocol.dataset, "train")

    @cached_property
    def test_images(self) -> Images:
        """The test images of the hierarchy."""
        return self.share_of_images(1.0)

    def share_of_images(self, share: float) -> Images:
        """The first ``share`` of the test images, class-balanced, the same in every experiment."""
        test = load_data(self.protocol.dataset, "test")
        count = max(LEAST, round(share * self.protocol.images)) if share < 1 else None
        return test.take(min(count or self.protocol.images, len(test)), self.protocol.seed)

    def grid(self, values: Sequence[T]) -> list[T]:
        """A grid's values; at scale ``smoke`` its ends and its middle."""
        if self.protocol.scale != "smoke":
            return list(values)
        return list(dict.fromkeys([values[0], values[len(values) // 2], values[-1]]))

    def given(self, name: str, trial: int) -> Trained | None:
        """The weights that the protocol gives in place of a training, if it does."""
        if self.protocol.weights is None or trial > 0:
            return None
        folder = Path(self.protocol.weights)
        path = folder / f"{name}.safetensors"
        if not path.exists():
            path = folder / name
            if str(path) not in packaged_names():
                return None
        return Trained(load(path), path, {})

    def train(
        self,
        place: str,
        name: str,
        *,
        trial: int = 0,
        purifier: Path | None = None,
        classifier: Path | None = None,
        change: Callable[[Stage], Stage] = lambda stage: stage,
    ) -> Trained:
        """Train recipe ``name`` into ``models/place`` with the seed of ``trial``."""
        stage = change(recipe(name, self.protocol.scale).stage)
        if not isinstance(stage, PurifierStage):
            classes = len(self.training_images.classes)
            head = replace(stage.classifier, classes=classes)
            stage = replace(stage, classifier=head)

        def report(step: int, steps: int, scalars: dict[str, float]) -> None:
            batch = stage.optim.batch_size
            self.report(f"train {place}", step * batch, steps * batch, in_brief(scalars))

        return train(
            stage,
            self.root / "models" / place,
            self.training_images,
            seed=self.protocol.seed + trial,
            engine=self.protocol.engine,
            purifier=purifier,
            classifier=classifier,
            report=report,
        )

    def evaluate(self, place: str, name: str, model: Defence, *, trial: int = 0) -> Record:
        """Evaluate ``model`` under the protocol into ``records/place``."""
        return evaluate_model(
            model,
            self.test_images,
            self.protocol,
            self.folder,
            place,
            name=name,
            trial=trial,
            item=self.item,
            device=self.device,
            progress=lambda done, total: self.report(f"evaluate {place}", done, total, ""),
        )

    def judge(
        self,
        place: str,
        name: str,
        model: Defence,
        images: Images,
        suite: str,
        surrogates: Mapping[str, Defence],
    ) -> Record:
        """Evaluate ``model`` by a suite of adaptive attacks into ``records/place``; images that
        were made against ``surrogates`` are tried on it too."""
        panel = Panel(
            suite,
            self.protocol.threat,
            surrogates=surrogates,
            seed=self.protocol.seed,
            device=self.device,
        )
        return self._by_the_first(
            lambda: judge_model(
                model,
                images,
                panel,
                self.folder,
                name,
                lambda what, done, total: self.report(
                    f"judge {place}", round(done), round(total), what
                ),
                place=place,
                item=self.item,
            )
        )

    def points(
        self,
        place: str,
        name: str,
        model: Defence,
        attack: Attack,
        points: Sequence[Point],
        images: Images,
        *,
        trial: int = 0,
        extra: Mapping[str, Any] | None = None,
    ) -> Record:
        """Measure ``model`` at ``points`` into ``records/place``."""
        about = self.about(name, model, trial, extra)
        batches = self.folder / "batches" / place

        def make() -> Record:
            here = deepcopy(model).to(self.device)
            return evaluate_points(
                lambda sigma: here if sigma is None else here.at_sigma(sigma),
                images,
                attack,
                points,
                about=about,
                seed=self.protocol.seed,
                device=self.device,
                progress=lambda done, total: self.report(f"measure {place}", done, total, ""),
                resume=batches,
            )

        record = self.record(place, about, make)
        shutil.rmtree(batches, ignore_errors=True)
        return record

    def about(
        self, name: str, model: Model, trial: int = 0, extra: Mapping[str, Any] | None = None
    ) -> About:
        """What a record says of ``model``."""
        return About(
            name=name,
            trial=trial,
            draws=model.draws,
            sigma=model.sigma,
            weights={"model": weights_digest(model)},
            extra=extra or {},
            item=self.item,
        )

    def record(self, place: str, about: About, make: Callable[[], Record]) -> Record:
        """The record at ``records/place``, made if it is not there.

        Raises:
            RecordError: the record that is there is damaged, or of another model.
        """
        path = self.folder / "records" / place

        def made() -> Record:
            if not path.with_name(f"{place}.json").exists():
                write(make(), path)
            return read(path)

        record = self._by_the_first(made)
        if record.header.get("weights") != dict(about.weights):
            raise RecordError(
                f"{path}.json is of another model; give another folder, or delete the record to "
                "measure again"
            )
        return record

    def _by_the_first(self, make: Callable[[], T]) -> T:
        """What ``make`` makes, in the first of several processes before the others."""
        made = make() if is_first_process() else None
        if torch.distributed.is_initialized():
            torch.distributed.barrier()
        return make() if made is None else made

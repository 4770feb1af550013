"""Where an experiment keeps its models and records, and how it makes them only once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from alp.data import Images, load_data
from alp.evaluation.records import Record
from alp.models.checkpoint import Model
from alp.paper.protocol import Protocol
from alp.training.recipes import recipe
from alp.training.stages import PurifierStage, Stage
from alp.workflows import Trained, device_of, evaluate_model, in_brief, train

Report = Callable[[str, int, int, str], None]
"""Called with (what is being done, finished images, all images, detail)."""


@dataclass(frozen=True)
class Lab:
    """An experiment's folder. Everything in it is made once: called again after a kill, each
    method resumes where it was, or reads what is there."""

    folder: Path
    protocol: Protocol
    report: Report

    @cached_property
    def training_images(self) -> Images:
        """The training split, without the validation images."""
        return load_data(self.protocol.dataset, "train")

    @cached_property
    def test_images(self) -> Images:
        """The test images of every row."""
        test = load_data(self.protocol.dataset, "test")
        return test.take(min(self.protocol.images, len(test)), self.protocol.seed)

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
            self.folder / "models" / place,
            self.training_images,
            seed=self.protocol.seed + trial,
            engine=self.protocol.engine,
            purifier=purifier,
            classifier=classifier,
            report=report,
        )

    def evaluate(self, place: str, name: str, model: Model, *, trial: int = 0) -> Record:
        """Evaluate ``model`` under the protocol into ``records/place``."""
        return evaluate_model(
            model,
            self.test_images,
            self.protocol,
            self.folder,
            place,
            name=name,
            trial=trial,
            device=device_of(self.protocol.engine.accelerator),
            progress=lambda done, total: self.report(f"evaluate {place}", done, total, ""),
        )

"""Where an experiment keeps its models and records, and how it makes them only once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from alp.data import Images, load_data
from alp.errors import RecordError
from alp.evaluation import About, evaluate, profile
from alp.evaluation.records import Record, read, write
from alp.files import read_json, write_json
from alp.models import Defended
from alp.models.checkpoint import Model, weights_digest
from alp.models.subjects import subject_of
from alp.paper.protocol import Protocol
from alp.training.recipes import recipe
from alp.training.stages import PurifierStage, Stage
from alp.workflows import Trained, train

Report = Callable[[str, int, int, str], None]
"""Called with (what is being done, finished, all, detail)."""


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
            detail = "  ".join(f"{key} {value:.4g}" for key, value in scalars.items())
            self.report(f"train {place}", step, steps, detail)

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
        path = self.folder / "records" / place
        weights = {"model": weights_digest(model)}
        if path.with_name(f"{place}.json").exists():
            return self._read(path, weights)
        defended = model if isinstance(model, Defended) else None
        about = About(
            name=name,
            trial=trial,
            draws=defended.draws if defended else 1,
            sigma=defended.purifier.sigma if defended else None,
            weights=weights,
            latency=self._latency(place, model),
        )
        protocol, batches = self.protocol, self.folder / "batches" / place
        record = evaluate(
            subject_of(model),
            self.test_images,
            protocol.threat,
            protocol.attack,
            protocol.knowledge,
            about=about,
            seed=protocol.seed,
            progress=lambda done, total: self.report(f"evaluate {place}", done, total, ""),
            resume=batches,
        )
        write(record, path)
        shutil.rmtree(batches)
        return record

    def _read(self, path: Path, weights: dict[str, str]) -> Record:
        """A finished record, if it is of these weights and this protocol."""
        record, protocol = read(path), self.protocol
        expected = {
            "weights": weights,
            "images": len(self.test_images),
            "data_digest": self.test_images.digest,
            "knowledge": list(protocol.knowledge),
            "seed": protocol.seed,
        }
        for key, value in expected.items():
            found = record.header[key]
            if (list(found) if key == "knowledge" else found) != value:
                raise RecordError(
                    f"{path}.json has {key} {found!r}, this experiment {value!r}; "
                    "give another folder, or delete the record to measure again"
                )
        return record

    def _latency(self, place: str, model: Model) -> dict[str, Any]:
        """Measured once, and kept: time is the one thing that a repetition does not repeat."""
        path = self.folder / "latency" / f"{place}.json"
        if not path.exists():
            image, _ = self.test_images.batch(torch.arange(1))
            write_json(path, profile(subject_of(model), image))
        return read_json(path, RecordError)

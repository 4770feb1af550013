"""Where an experiment keeps its models and records, and how it makes them only once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from alp.attacks import Attack, Threat
from alp.bench.latency import profile
from alp.data import Images, load_data
from alp.defences.base import Defence, Model
from alp.defences.packaged import load, packaged_names, packages
from alp.errors import ConfigError
from alp.evaluation import About, EvalConfig, Grid, PaperProtocol, Point
from alp.evaluation.crew import Crew
from alp.evaluation.saved import about, evaluate_into
from alp.evaluation.suites import Suite
from alp.executors import Note, cores, device_of
from alp.executors.processes import Serial
from alp.executors.shares import Share, ShareDone
from alp.experiments.protocol import Protocol
from alp.records import Record
from alp.records.parts import made_once
from alp.training.recipes import recipe
from alp.training.stages import Stage
from alp.training.train import Trained, in_brief, train

Report = Callable[[str, int, int, str], None]
"""Called with (what is being done, finished images, all images, detail)."""

BATCH = 100
"""Images that are evaluated at a time."""

LEAST = 8
"""Images that an experiment looks at, whatever its share."""

T = TypeVar("T")


@dataclass(frozen=True)
class Placement:
    """Where the evaluations of experiments run."""

    crew: Crew = field(default_factory=Crew)
    """What does their units."""
    share: Share | None = None
    """Which of the units, and which of the records that are made whole. Models are trained by the
    first share."""
    note: Note = lambda text: None
    """Told in a sentence when a worker died."""
    told: list[str] = field(default_factory=list)
    """What a share has done, a sentence each."""

    def stand_in(self, place: str, done: ShareDone) -> Record:
        """What a share goes on with where the record is not there yet: an experiment looks into no
        record, and a share makes no table."""
        self.told.append(str(done))
        return Record({"kind": "unfinished", "name": place}, {"index": np.arange(0)})


@dataclass(frozen=True)
class Workspace:
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
    placement: Placement = field(default_factory=Placement)
    """Where evaluations run, and which share of them."""

    @property
    def folder(self) -> Path:
        """The experiment's own folder."""
        return self.root / self.item

    @property
    def device(self) -> str:
        """Where models are evaluated."""
        return device_of(self.protocol.engine.accelerator)

    @property
    def crew(self) -> Crew:
        """What does the units. In this process they have the threads of a training, whether one was
        run before or not."""
        crew, engine = self.placement.crew, self.protocol.engine
        if crew.threads is not None or crew.count > 1 or not isinstance(crew.workers, Serial):
            return crew
        return replace(crew, threads=engine.threads or max(1, cores() // engine.devices))

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

    def given_path(self, name: str, trial: int) -> Path | None:
        """Where the weights lie that the protocol gives in place of a training, if it does.

        Raises:
            ConfigError: it gives neither a package nor a folder of weights.
        """
        if self.protocol.weights is None:
            return None
        folder = Path(self.protocol.weights)
        _require_weights(folder)
        # Weights that were made otherwise, end to end say, are no trial of the same recipe.
        several = name == "defended" and self.protocol.trials > 1
        if trial > 0 or several:
            return None
        path = folder / f"{name}.safetensors"
        if path.exists():
            return path
        return folder / name if str(folder / name) in packaged_names() else None

    def given(self, name: str, trial: int) -> Trained | None:
        """The weights that the protocol gives in place of a training, if it does."""
        path = self.given_path(name, trial)
        return None if path is None else Trained(load(path), path, {})

    def train(
        self,
        place: str,
        name: str,
        *,
        trial: int = 0,
        purifier: Path | None = None,
        classifier: Path | None = None,
        stage: Stage | None = None,
    ) -> Trained:
        """Train recipe ``name`` into ``models/place`` with the seed of ``trial``; ``stage`` holds
        other settings than the recipe's.

        Raises:
            ShareDone: it is missing, and the first share trains it.
        """
        share, weights = self.placement.share, self.root / "models" / place / "weights.safetensors"
        if share and share.number > 1 and not weights.exists():
            raise ShareDone(
                f"share {share} of {self.item} waits for models/{place}, which share 1 trains"
            )
        usual = stage or recipe(name, self.protocol.scale).stage
        wanted = usual.for_classes(len(self.training_images.classes))

        def report(step: int, steps: int, scalars: dict[str, float]) -> None:
            batch = wanted.optim.batch_size
            self.report(f"train {place}", step * batch, steps * batch, in_brief(scalars))

        return train(
            wanted,
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
        protocol, images = self.protocol, self.test_images
        config = self.config(PaperProtocol(protocol.attack, protocol.knowledge))
        x = images.batch(torch.arange(1))[0].to(self.device)
        told = self.about(name, model, trial)
        return self._evaluated(
            "evaluate", place, model, images, config, told, profile=lambda here: profile(here, x)
        )

    def judge(
        self,
        place: str,
        name: str,
        model: Defence,
        images: Images,
        suite: str | Suite,
        surrogates: Mapping[str, Defence],
        *,
        threat: Threat | None = None,
        attack_precision: str = "float32",
    ) -> Record:
        """Evaluate ``model`` by a suite of adaptive attacks into ``records/place``, by default
        under the protocol's threat; images that were made against ``surrogates`` are tried on it
        too."""
        config = EvalConfig(
            suite,
            threat or self.protocol.threat,
            attack_precision=attack_precision,
            seed=self.protocol.seed,
            device=self.device,
        )
        told = about(model, name, item=self.item, surrogates=surrogates)
        return self._evaluated("judge", place, model, images, config, told, surrogates=surrogates)

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
        config = self.config(Grid(attack, tuple(points)))
        told = self.about(name, model, trial, extra)
        return self._evaluated("measure", place, model, images, config, told)

    def config(self, suite: PaperProtocol | Grid) -> EvalConfig:
        """The protocol's configuration of an evaluation by ``suite``."""
        threat = suite.threat if isinstance(suite, Grid) else self.protocol.threat
        return EvalConfig(
            suite, threat, seed=self.protocol.seed, batch_size=BATCH, device=self.device
        )

    def about(
        self, name: str, model: Model, trial: int = 0, extra: Mapping[str, Any] | None = None
    ) -> About:
        """What a record says of ``model``."""
        return about(model, name, trial=trial, item=self.item, extra=extra)

    def record(self, place: str, told: About, make: Callable[[], Record]) -> Record:
        """The record at ``records/place``, made if it is not there.

        Raises:
            RecordError: the record that is there is damaged, or of another model.
        """
        path, share = self.folder / "records" / place, self.placement.share
        is_there = path.with_name(f"{path.name}.json").exists()
        if share and not is_there and not share.owns(self.item, place):
            return self.placement.stand_in(place, ShareDone.of(share, place, 0, 1, 1))
        return made_once(path, make, {"weights": told.weights})

    def _evaluated(
        self,
        doing: str,
        place: str,
        model: Defence,
        images: Images,
        config: EvalConfig,
        told: About,
        **options: Any,
    ) -> Record:
        def progress(what: str, done: float, total: float) -> None:
            self.report(f"{doing} {place}", round(done), round(total), what)

        placement = self.placement
        try:
            return evaluate_into(
                self.folder,
                place,
                model,
                images,
                config,
                told,
                crew=self.crew,
                share=placement.share,
                note=placement.note,
                progress=progress,
                **options,
            )
        except ShareDone as done:
            return placement.stand_in(place, done)


def _require_weights(folder: Path) -> None:
    """Refuse what holds no weights, before models are trained in their place."""
    if folder.as_posix() not in packages() and not any(folder.glob("*.safetensors")):
        raise ConfigError(
            f"the weights are {str(folder)[:300]!r}, which is no package and no folder of weights; "
            f"give one of: {', '.join(packages())}; or a folder with purifier.safetensors, say"
        )

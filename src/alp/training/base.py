"""What a training is made of: its task, and what it starts from beside its settings.

A task holds the networks; its ``model`` is what is saved. The loop calls ``attack`` first, then
the task itself, then ``observe`` with the scalars averaged over all processes. Each stage has a
function that builds its task, registered under the name of the stage's class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from alp import seeding
from alp.config import ClassifierConfig, PurifierConfig
from alp.data import Images
from alp.defences import Purifier
from alp.defences.architectures import classifier_by
from alp.defences.base import Defence, Model
from alp.defences.checkpoint import weights_digest
from alp.defences.classes import count_classes, require_same_classes
from alp.defences.packaged import before, load, purifying, require_purifier
from alp.defences.smoothed import base_of
from alp.defences.trainable import Trainable, learns, require_trainable
from alp.errors import ConfigError, choose
from alp.registry import Registry
from alp.training.stages import Stage

D = TypeVar("D", bound=Defence)

Source = torch.Generator | seeding.Shard
Perturb = Callable[[Callable[[Tensor], Tensor], Tensor, Tensor, Source], Tensor]
"""(target, x, labels, source) -> attacked x; ``labels`` are classes (B,) or soft ones (B, K)."""


class Task(nn.Module):
    """A stage's networks and loss: ``(x, attacked, y, source)`` to the scalars of a step, of which
    ``loss`` is minimised; see the module."""

    model: nn.Module

    def attack(self, x: Tensor, y: Tensor, source: Source) -> Tensor:
        """The attacked images of a batch; the clean ones where the stage has no adversary."""
        return x

    def observe(self, scalars: Mapping[str, float]) -> None:
        """Update what depends on the scalars of a whole step."""

    def finish(self, model: nn.Module) -> None:
        """Set what is chosen after the last step, in the model that is saved."""

    def doubts(self, history: Mapping[str, Sequence[float]]) -> list[str]:
        """What is doubtful about the finished training, in sentences, by the scalars of all
        steps."""
        return []


TASKS: Registry[Callable[[Any, Start], Task]] = Registry("TASKS", "alp.training", "alp.tasks")
"""Name of a stage's class to the function that builds its task."""

_GIVEN = {
    "purifier": "weights of a purifier",
    "classifier": "weights of a classifier",
    "others": "further classifiers",
    "validation": "validation images",
    "new_head": "new last layer",
}
"""What may be given, in words."""


@dataclass
class Start:
    """What a training starts from; see :func:`alp.training.train.train`."""

    images: Images
    seed: int = 0
    purifier: Path | Model | None = None
    classifier: Path | Trainable | None = None
    others: tuple[Path, ...] = ()
    validation: Images | None = None
    new_head: bool = False
    parents: dict[str, str] = field(default_factory=dict)
    """Role to digest of the weights that the task was built from."""

    def given_purifier(self) -> Purifier:
        """The purifier that was given, to be trained."""
        assert self.purifier is not None
        front = require_purifier(*self._front(self.purifier))
        self.parents["purifier"] = weights_digest(front)
        return front

    def purifier_of(self, config: PurifierConfig) -> Purifier:
        """The purifier that was given, or a new one."""
        if self.purifier is not None:
            return self.given_purifier()
        with seeding.initialising(self.seed, "purifier"):
            return Purifier(config)

    def behind(self, head: Defence) -> Defence:
        """``head`` behind what was given to purify, which stays as it is; alone where nothing
        was."""
        if self.purifier is None:
            return head
        front, name = self._front(self.purifier)
        model = before(front, head, name)
        for part in model.children():
            if part is not head:
                part.requires_grad_(False)
        self.parents["purifier"] = weights_digest(purifying(front))
        return model

    @staticmethod
    def _front(given: Path | Model) -> tuple[Model, str]:
        """What was given to purify, and its name."""
        return (load(given), str(given)) if isinstance(given, Path) else (given, "the purifier")

    def classifier_of(self, config: ClassifierConfig) -> Trainable:
        """The classifier that was given, which is trained, or a new one."""
        if self.classifier is None:
            with seeding.initialising(self.seed, "classifier"):
                head: Trainable = classifier_by(config)
        else:
            given = self.classifier
            found = load(given) if isinstance(given, Path) else given
            name = str(given) if isinstance(given, Path) else "the classifier"
            head = require_trainable(base_of(found), name)
            head.begin_training()
            self.parents["classifier"] = weights_digest(head)
            if self.new_head:
                with seeding.initialising(self.seed, "head"):
                    head.with_new_head(len(self.images.classes))
            x, _ = self.images.batch(torch.arange(1))
            if not learns(head, x):
                raise ConfigError(
                    f"{name} answers without a gradient by its weights: none is trainable, or it "
                    "computes under no_grad; give one that can learn"
                )
        self._require_classes(head, self.classifier)
        return head

    def frozen(self, load: Callable[[Path], D], others: str = "classifier") -> list[D]:
        """The classifiers that were given, which stay as they are; in the record the further ones
        are called ``others`` and numbered."""
        return [
            self._frozen(load, "classifier", self.classifier),
            *self.frozen_others(load, others),
        ]

    def frozen_others(self, load: Callable[[Path], D], name: str) -> list[D]:
        """The further classifiers alone, which stay as they are; in the record they are called
        ``name`` and numbered from 1."""
        numbered = enumerate(self.others, start=1)
        return [self._frozen(load, f"{name}-{number}", given) for number, given in numbered]

    def _frozen(self, load: Callable[[Path], D], name: str, given: Path | Trainable | None) -> D:
        head: Any = load(given) if isinstance(given, Path) else given
        self._require_classes(head, given)
        self.parents[name] = weights_digest(head)
        return cast(D, head)

    def _require_classes(self, head: Defence, weights: object) -> None:
        """Refuse images whose classes are others than the classifier's, or all the same.

        Raises:
            ConfigError: see above; the message has both.
        """
        images = self.images
        there = len(images.classes)
        count = count_classes(head, images.batch(torch.arange(1))[0])
        if weights is not None and count != there:
            raise ConfigError(
                f"the classifier tells {count} classes apart, and {images.name} has {there}: give "
                "a classifier of these, or replace its last layer with --new_head, or "
                "new_head=True"
            )
        if weights is None and count != there:
            raise ConfigError(
                f"classifier.classes of the stage is {count}, but {images.name} has {there}; set "
                f"it to {there}"
            )
        require_same_classes(head, images, count)
        if len(set(images.labels.tolist())) < 2:
            raise ConfigError(
                f"all {len(images)} training images of {images.name} are of one class, on which "
                "every classifier is right; give images of two classes or more"
            )


def build_task(stage: Stage, start: Start) -> Task:
    """The task of a stage.

    Raises:
        ConfigError: something is missing, or is given that the stage does not take; or the classes
            of classifier and images differ.
        CheckpointError: weights are damaged or of another kind.
    """
    kind = type(stage).__name__
    for name, words in _GIVEN.items():
        given = getattr(start, name) not in (None, (), False)
        if given and name not in stage.needs | stage.takes:
            raise ConfigError(f"a {kind} takes no {words}; leave {name} out")
        if not given and name in stage.needs:
            raise ConfigError(f"a {kind} needs {words}; give them in {name}")
    return choose(TASKS, kind, "stage")(stage, start)

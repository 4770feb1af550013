"""A classifier behind a transformation of the image."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import torch
from torch import Tensor, nn

from alp import seeding
from alp.defences.base import DEFENCES, Defence, classify, counted, straight_through
from alp.errors import ConfigError


class Preprocessed(Defence):
    """A classifier behind a transformation of the image, random or not. Attackers may go through
    the transformation, around it (``bare``), or put the identity's derivative in its place."""

    capabilities = frozenset({"bare", "purify", "bpda"})

    def __init__(self, classifier: nn.Module, draws: int = 1) -> None:
        super().__init__()
        self.classifier = classifier
        self.draws = counted(draws)
        self.training = classifier.training

    @abstractmethod
    def transform(self, x: Tensor, source: seeding.Source) -> Tensor:
        """One draw of the transformed images, shaped like ``x``."""

    def sample(self, state: Tensor, source: seeding.Source, draws: int) -> Tensor:
        images = torch.cat([self.transform(state, source) for _ in range(draws)])
        return self._classified(images, draws)

    def bpda(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        draws = draws if self.stochastic else 1
        with torch.no_grad():
            images = torch.cat([self.transform(x, source) for _ in range(draws)])
        return self._classified(straight_through(images, x.repeat(draws, 1, 1, 1)), draws)

    def before(self, classifier: Defence) -> Self:
        """The same transformation before another classifier.

        Raises:
            ConfigError: it has detectors, whose thresholds are those of one classifier.
        """
        if "rejects" in self.capabilities:
            raise ConfigError(
                f"the detectors of this {type(self).__name__} were fitted to its own classifier; "
                "train one for the new classifier"
            )
        other = self._twin()
        other.classifier = classifier
        return other

    def _classified(self, images: Tensor, draws: int) -> Tensor:
        logits = classify(self.classifier, images)
        return logits.view(draws, len(images) // draws, logits.shape[-1])

    def bare(self, x: Tensor) -> Tensor:
        return classify(self.classifier, x)

    def purify(self, x: Tensor, source: seeding.Source) -> Tensor:
        return self.transform(x, source)

    def describe(self) -> dict[str, Any]:
        return describe_before(self, self.classifier)

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        return cls(classifier_of(description), **description["settings"])


def describe_before(defence: Defence, classifier: nn.Module) -> dict[str, Any]:
    """What a weights file says of a defence in front of a classifier.

    Raises:
        ConfigError: the classifier is none of alp's.
    """
    if not isinstance(classifier, Defence):
        raise ConfigError(
            f"a classifier of type {type(classifier).__name__} cannot be saved by alp; save it "
            "yourself"
        )
    kind = DEFENCES.name_of(type(defence))
    return {"kind": kind, "settings": defence.settings, "classifier": classifier.describe()}


def built(description: dict[str, Any]) -> Defence:
    """The untrained defence that :meth:`Defence.describe` described, such as one inside another."""
    return DEFENCES[description["kind"]].from_description(description)


def classifier_of(description: dict[str, Any]) -> Defence:
    """The untrained classifier that :func:`describe_before` described."""
    return built(description["classifier"])

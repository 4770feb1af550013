"""A small classifier where it is confident, and a large one where it is not."""

from __future__ import annotations

from typing import Any, Self, final

from torch import Tensor, nn
from torch.nn import functional as F

from alp.config import require_number
from alp.defences.base import DEFENCES, Defence, Deterministic, classify
from alp.defences.preprocessed import built, classifier_of, describe_before
from alp.errors import ConfigError

CHUNK = 32
"""Images that the large classifier sees at a time, filled up with copies. With another number the
sums of a layer may be added in another order, so that an answer would depend on the images beside
it, and votes of it could not be certified."""


@final
@DEFENCES.register("cascade")
class Cascade(Deterministic):
    """Logits of a light classifier where its largest softmax is at least ``confidence``, else those
    of the full one: the first of them that is sure decides (Viola and Jones 2001, section 4).

    It is a function of the image, so that ``Smoothed(cascade, sigma)`` can certify it; both
    classifiers have to be trained under that noise. The gradient is that of the classifier that
    answers.
    """

    def __init__(self, classifier: nn.Module, light: nn.Module, confidence: float = 0.9) -> None:
        """Put a light classifier in front of a full one.

        Args:
            classifier: images (B,3,H,W) in [0,1] -> logits (B,K), in evaluation mode.
            light: the same, cheaper.
            confidence: in [0,1]; above 1 the light one would never answer.

        Raises:
            ConfigError: ``confidence`` is out of range.
        """
        super().__init__()
        require_number("Cascade's confidence", confidence, 0, 1)
        self.classifier, self.light = classifier, light
        self.confidence = float(confidence)
        self.training = classifier.training

    @property
    def settings(self) -> dict[str, Any]:
        return {"confidence": self.confidence}

    def unsure(self, logits: Tensor) -> Tensor:
        """Which of the light classifier's logits (B,K) do not decide, bool (B,)."""
        return ~(logits.softmax(1).amax(1) >= self.confidence)

    def answer(self, x: Tensor) -> Tensor:
        logits = classify(self.light, x)
        left, size = self.unsure(logits).nonzero().flatten(), min(CHUNK, len(x))
        for first in range(0, len(left), CHUNK):
            rows = left[first : first + CHUNK]
            padded = F.pad(rows, (0, size - len(rows)), value=int(rows[0]))
            found = classify(self.classifier, x[padded])[: len(rows)]
            if found.shape[1] != logits.shape[1]:
                raise ConfigError(
                    f"the light classifier tells {logits.shape[1]} classes apart, and the full "
                    f"one {found.shape[1]}; give two classifiers of the same classes"
                )
            logits = logits.index_copy(0, rows, found.to(logits))
        return logits

    def describe(self) -> dict[str, Any]:
        if not isinstance(self.light, Defence):
            raise ConfigError(
                f"a classifier of type {type(self.light).__name__} cannot be saved by alp; save it "
                "yourself"
            )
        return describe_before(self, self.classifier) | {"light": self.light.describe()}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        light = built(description["light"])
        return cls(classifier_of(description), light, **description["settings"])

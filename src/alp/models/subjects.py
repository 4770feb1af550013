"""The views of a model that an evaluation needs: what its users see, and what its attackers see.

The evaluation's ``Subject`` protocol is met without importing it: models know no evaluation.
"""

from __future__ import annotations

from torch import Generator, Tensor, nn

from alp.models.defended import Defended


class Undefended:
    """A classifier alone: deterministic, and the same to every attacker."""

    stochastic = False

    def __init__(self, classifier: nn.Module) -> None:
        self.classifier = classifier

    def predict(self, x: Tensor, source: Generator) -> Tensor:
        return self.bare(x)

    def draw(self, x: Tensor, source: Generator) -> Tensor:
        return self.bare(x)

    def masked(self, x: Tensor, source: Generator) -> Tensor:
        return self.bare(x)

    def bare(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(x)
        return logits

    def purify(self, x: Tensor, source: Generator) -> Tensor:
        return x


class Purified:
    """A defended classifier: an oblivious attacker has the classifier behind the purifier."""

    stochastic = True

    def __init__(self, defended: Defended) -> None:
        self.defended = defended

    def predict(self, x: Tensor, source: Generator) -> Tensor:
        logits: Tensor = self.defended(x, source)
        return logits

    def draw(self, x: Tensor, source: Generator) -> Tensor:
        logits: Tensor = self.defended(x, source, draws=1)
        return logits

    def masked(self, x: Tensor, source: Generator) -> Tensor:
        logits: Tensor = self.defended(x, source, draws=1, stop_gradient=True)
        return logits

    def bare(self, x: Tensor) -> Tensor:
        logits: Tensor = self.defended.classifier(x)
        return logits

    def purify(self, x: Tensor, source: Generator) -> Tensor:
        image: Tensor = self.defended.purifier(x, source)
        return image


def subject_of(model: nn.Module) -> Undefended | Purified:
    """The subject of any model: ``Purified`` for a ``Defended``, else ``Undefended``."""
    return Purified(model) if isinstance(model, Defended) else Undefended(model)

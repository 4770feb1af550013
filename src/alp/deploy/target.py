"""An engine as a defence: its predictions judged, its float model's gradients lent to the
attackers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self, final

import torch
from torch import Tensor

from alp import seeding
from alp.defences import Defended
from alp.defences.base import Wrapper, classify, straight_through
from alp.deploy.consensus import Consensus
from alp.deploy.engine import Engine
from alp.errors import ConfigError


@final
class EngineTarget(Wrapper):
    """A deployed engine as a defence, for :func:`alp.evaluate`.

    An engine has no gradient, and that it has none is no defence: an attacker who holds the
    weights has the float model. Everything that attackers differentiate has the engine's own
    logits as its values, and the derivative of the float model at the same noise. Where that
    model has been rounded (int8, bfloat16) the two differ a little, as straight-through
    estimation does.
    """

    def __init__(
        self, engine: Engine, defended: Defended, consensus: Consensus | None = None
    ) -> None:
        """Take the engine, the model that it was built from, and how its draws are counted; by
        default it makes all draws."""
        super().__init__(defended)
        self.engine = engine
        self.model = defended
        self.consensus = consensus
        self.draws = engine.draws if consensus is None else consensus.draws
        self.surrogate = "the derivative of the float model in place of the engine's"

    def at_sigma(self, sigma: float) -> Self:
        """Refused: an engine is built at its noise level.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"an engine cannot be set to sigma {sigma}; build one of the model at that noise level"
        )

    def predict(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        """The deployed prediction: mean logits (B,K) over all draws, or as many as it takes."""
        images, random = _array(x), _seed(source)
        if self.consensus is None:
            return _tensor(self.engine.predict(images, draws, random), x)
        rule = replace(self.consensus, draws=draws)
        return _tensor(self.engine.vote(images, rule, random).logits, x)

    def logits(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        """Logits of each draw (draws,B,K); values of the engine, gradient of the float model."""
        return self._sampled(x, source, draws, stop_gradient=False)

    def masked(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        """As ``logits``, without a gradient."""
        return self._sampled(x, source, draws, stop_gradient=True)

    def bpda(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        """As ``logits``, with the derivative of the identity in place of the purifier's."""
        with torch.no_grad():
            noise = self._noise(x, source, draws)
            purified = self._purified(x, noise)
        logits = classify(
            self.model.classifier, straight_through(purified, x.repeat(draws, 1, 1, 1))
        )
        return self._with_values(logits.view(draws, len(x), -1), x, noise)

    def purify(self, x: Tensor, source: seeding.Source) -> Tensor:
        """One purified draw, shaped like ``x``."""
        return _tensor(self.engine.purify(_array(x), _seed(source)), x)

    def _sampled(
        self, x: Tensor, source: seeding.Source, draws: int, stop_gradient: bool
    ) -> Tensor:
        noise = self._noise(x, source, draws)
        if stop_gradient or not (torch.is_grad_enabled() and x.requires_grad):
            return self._values(x, noise)
        logits = classify(self.model.classifier, self._purified(x, noise))
        return self._with_values(logits.view(draws, len(x), -1), x, noise)

    def _noise(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        """Noise of each draw, (draws,B,C,h,w)."""
        shape = (len(x), *self.engine.shapes.latent)
        return torch.stack([seeding.normal(shape, source) for _ in range(draws)]).to(x)

    def _purified(self, x: Tensor, noise: Tensor) -> Tensor:
        """The float model's purified images, (draws*B,3,H,W)."""
        purifier = self.model.purifier
        z = (purifier.encode(x) + self.model.deviation * noise).flatten(0, 1)
        return purifier.decode(z, self.engine.shapes.size).clamp(0, 1)

    def _values(self, x: Tensor, noise: Tensor) -> Tensor:
        mu = self.engine.encode(_array(x))
        return _tensor(self.engine.decode_classify(mu, _array(noise)), x)

    def _with_values(self, logits: Tensor, x: Tensor, noise: Tensor) -> Tensor:
        """The engine's logits, with the derivative of ``logits``."""
        logits = logits.float()
        return logits + (self._values(x, noise) - logits).detach()


def _array(x: Tensor) -> Any:
    return x.detach().float().contiguous().cpu().numpy()


def _tensor(values: Any, x: Tensor) -> Tensor:
    """An engine's answer, which is float32 whatever the images are."""
    return torch.from_numpy(values).to(x.device)


def _seed(source: seeding.Source) -> int:
    """A seed for numpy's generator from torch's."""
    assert isinstance(source, torch.Generator)
    return int(torch.randint(2**62, (), generator=source, device=source.device))

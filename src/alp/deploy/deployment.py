"""How a defended model is deployed: in which backend, with how many draws, or by the sequential
consensus."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor, nn

from alp import seeding
from alp.defences import Defended, Purifier
from alp.defences.base import GROUP, Defence, Wrapper
from alp.deploy.consensus import Consensus, Outcome
from alp.deploy.engine import Floats
from alp.errors import ConfigError

if TYPE_CHECKING:
    from alp.defences.base import Defence


def vote(
    model: Defence, x: Tensor, consensus: Consensus, source: seeding.Source | None = None
) -> Outcome:
    """Draw ``model``'s logits of the images ``x`` (B,3,H,W) until all are decided.

    The gradient flows through the draws that were made; their number has none.
    """
    source = seeding.entropy(x.device) if source is None else source
    state, tally = model.encode(x), consensus.begin(len(x))
    total: Tensor | None = None
    while len(tally.rows):
        rows, left, parts = torch.from_numpy(tally.rows), tally.next, []
        mine = seeding.Rows(source, rows, len(x))
        rows = rows.to(x.device)
        while left > 0:
            now = min(left, max(1, GROUP // len(rows)))
            parts.append(model.sample(model.select(state, rows), mine, now))
            left -= now
        logits = torch.cat(parts)
        if total is None:
            total = logits.new_zeros(len(x), logits.shape[-1])
        total = total.index_add(0, rows, logits.sum(0))
        tally.count(logits.detach().float().cpu().numpy())
    assert total is not None
    taken = torch.from_numpy(tally.draws).to(total)
    return Outcome(total / taken[:, None], tally.draws)


@final
class SequentialDefended(Wrapper):
    """A defended model whose prediction stops drawing once it is decided.

    x (B, 3, H, W) in [0,1] -> mean logits (B, K) over the draws that each image took. Attackers
    and judges see what is deployed: ``predict`` follows the stopping rule, while ``logits`` gives
    the attacker as many draws as it likes. The draws of a generator are those of
    :class:`Defended`, the first ones of each image.
    """

    def __init__(
        self, classifier: nn.Module, purifier: Purifier, consensus: Consensus | None = None
    ) -> None:
        rule = Consensus() if consensus is None else consensus
        super().__init__(Defended(classifier, purifier, rule.draws))
        self.consensus = rule

    def predict(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        """Mean logits over the draws made, at most ``draws``."""
        logits: Tensor = self.outcome(x, source, draws).logits
        return logits

    def outcome(
        self, x: Tensor, source: seeding.Source | None = None, draws: int | None = None
    ) -> Outcome:
        """The logits, and how many draws each image took."""
        rule = self.consensus if draws is None else replace(self.consensus, draws=draws)
        return vote(self.inner, x, rule, source)


@dataclass(frozen=True)
class Deployment:
    """A frozen, picklable description, so that every worker process makes its own engine."""

    backend: str | None = None
    """A name of ``alp.deploy.BACKENDS``; None for torch as it is."""
    precision: str = "float32"
    """Of the backend."""
    sequential: bool = False
    """Whether drawing stops once the decision is made."""
    calibration: Floats | None = field(default=None, repr=False, compare=False)
    """Clean training images (N,3,H,W) in [0,1]: an engine is built for their size, and int8 for
    their ranges."""

    def __post_init__(self) -> None:
        if self.precision != "float32" and self.backend is None:
            raise ConfigError(
                f"precision is {self.precision!r}, which is an engine's; give a --backend too"
            )

    @property
    def words(self) -> str:
        """For the record, such as ``backend openvino, bfloat16``; empty where nothing changes."""
        words = [] if self.backend is None else [f"backend {self.backend}, {self.precision}"]
        if self.sequential:
            rule = Consensus()
            words.append(
                f"sequential consensus: looks after {rule.first} draws and every {rule.group}, "
                f"error {rule.error:g}"
            )
        return "; ".join(words)

    def __call__(self, defence: Defence) -> Defence:
        """What is deployed of a defended model.

        Raises:
            ConfigError: it has no purifier, or the backend cannot build it.
        """
        from alp.defences.packaged import require_defended
        from alp.deploy.backends import build
        from alp.deploy.target import EngineTarget

        if not self.words:
            return defence
        model = require_defended(defence, "what --backend and --sequential deploy")
        consensus = Consensus(draws=model.draws) if self.sequential else None
        if self.backend is None:
            return SequentialDefended(model.classifier, model.purifier, consensus).eval()
        assert self.calibration is not None, "an engine is built for the size of the images"
        engine = build(
            self.backend,
            model,
            precision=self.precision,
            size=(self.calibration.shape[2], self.calibration.shape[3]),
            calibration=self.calibration,
        )
        return EngineTarget(engine, model, consensus).eval()

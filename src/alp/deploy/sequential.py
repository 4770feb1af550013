"""The sequential consensus of a defence, and a defended model that is deployed with it."""

from __future__ import annotations

from dataclasses import replace
from typing import final

import torch
from torch import Tensor, nn

from alp import seeding
from alp.defences import Defended, Purifier
from alp.defences.base import GROUP, Defence, Wrapper
from alp.deploy.consensus import Consensus, Outcome


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

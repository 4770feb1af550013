"""RayS: a search among directions of signs, by the target's decisions alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from alp.attacks.asking import Asking
from alp.attacks.base import ATTACKS, Source, Target, Threat, checked, require_count, require_size
from alp.attacks.gradients import score
from alp.attacks.losses import margin

if TYPE_CHECKING:
    from torch import Tensor


@ATTACKS.register("rays", order=9)
@dataclass(frozen=True)
class RayS(Asking):
    """RayS (Chen and Gu 2020, algorithms 2 and 3): the sign vector along which the boundary is
    nearest, found by turning blocks of signs, from the whole image down to single values.

    A turned block is first asked about at the best radius so far; only where that is wrong too, a
    search by bisection follows. Every image is in one of the two phases, so that each call asks one
    question about each. Differing from the paper, the point that is held lies at the full radius
    of the threat along the best direction, which against a random target is surer than the point
    on the boundary, and after the single values the blocks start over.
    """

    queries: int = 1000
    """Questions about an image."""
    tolerance: float = 1e-3
    """Where a search by bisection stops, as a share of the largest radius in [0,1]."""

    def __post_init__(self) -> None:
        require_count("queries", self.queries)
        require_size("tolerance", self.tolerance, zero=False)

    @property
    def calls(self) -> tuple[int, int]:
        """No gradient, and the questions."""
        return 0, self.queries

    def within(self, questions: int) -> Self | None:
        """With ``questions`` about an image; None where there is none."""
        return replace(self, queries=questions) if questions > 0 else None

    def search(
        self,
        target: Target,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        source: Source,
        start: Tensor | None = None,
    ) -> Iterator[Tensor]:
        """The points at the full radius along the best directions: after ``start``, whose signs are
        the first direction (by default all plus), one after each question.

        Raises:
            ConfigError: the images, labels or the target's logits cannot be used.
        """
        import torch

        x = checked(x, y)
        zero = torch.zeros_like(x)
        ones = torch.ones_like(x)
        farthest = threat.distance(ones, zero).view(-1, 1, 1, 1)
        best = ones if start is None else torch.where(start < x, -ones, ones)
        radius = high = farthest
        low = torch.zeros_like(radius)
        stage = torch.zeros(len(x), dtype=torch.long, device=x.device)
        block = stage - 1  # no block: the first direction itself is asked about first
        searching = torch.zeros(len(x), 1, 1, 1, dtype=torch.bool, device=x.device)
        tried = turned(best, stage, block)
        yield threat.project(threat.step(x, best, threat.eps), x) if start is None else start
        for _ in range(self.queries):
            reach = ((low + high) / 2).where(searching, radius)
            asked = (x + reach * threat.step(zero, tried, 1.0)).clamp(0, 1)
            wrong = (score(target, asked, y, margin) > 0).view(-1, 1, 1, 1)
            high, low = reach.where(wrong, high), reach.where(searching & ~wrong, low)
            searching = searching | wrong
            found = searching & (high - low < self.tolerance * farthest)
            radius = high.where(found, radius)
            best = tried.where(found, best)
            following = found | ~searching
            stage, block = following_block(stage, block, following.flatten(), x[0].numel())
            tried = turned(best, stage, block).where(following, tried)
            low, high = low.masked_fill(following, 0), radius.where(following, high)
            searching = searching & ~found
            yield threat.project(threat.step(x, best, threat.eps), x)


def turned(signs: Tensor, stage: Tensor, block: Tensor) -> Tensor:
    """``signs`` (B,3,H,W) with one block of each image turned: of 2^stage blocks along the values
    of an image, that of the number ``block``; both (B,)."""
    import torch

    values = signs[0].numel()
    size = -(-values // 2**stage)
    place = torch.arange(values, device=signs.device) // size[:, None]
    inside = (place == block[:, None]).view_as(signs)
    return torch.where(inside, -signs, signs)


def following_block(
    stage: Tensor, block: Tensor, moves: Tensor, values: int
) -> tuple[Tensor, Tensor]:
    """Stage and block (B,) of the next turn of the images that ``moves`` (B,): the next block, the
    first of the next stage, or, after the blocks of single values, of stage 0."""
    size = -(-values // 2**stage)
    last = (block + 1) * size >= values
    stage_after = (stage + 1).where(last, stage).masked_fill(last & (size == 1), 0)
    block_after = (block + 1).masked_fill(last, 0)
    return stage_after.where(moves, stage), block_after.where(moves, block)

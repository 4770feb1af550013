"""Square attack: random search in squares, by the loss alone.

Where the Square attack starts and what it proposes, in Linf and in L2.

Andriushchenko et al. 2020. Every image has its own draws; windows and signs are drawn in one call
of the source a query.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Self

from alp.attacks import resumable
from alp.attacks.asking import Asking
from alp.attacks.base import ATTACKS, Source, Target, Threat, checked, require_count, require_size
from alp.attacks.gradients import score
from alp.attacks.losses import LOSSES
from alp.attacks.threats import L2, Linf
from alp.errors import ConfigError, choose
from alp.seeding import uniform

if TYPE_CHECKING:
    from torch import Tensor


_HALVED_AFTER = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 queries


def share(p: float, query: int, queries: int) -> float:
    """The share of the pixels in the square of a query (counted from 0): ``p``, halved at the
    points of the authors' program, rescaled to ``queries``. Section 5, schedule of p."""
    scaled = query * 10_000 // queries
    return float(p / 2 ** sum(scaled > mark for mark in _HALVED_AFTER))


def stripes(x: Tensor, source: Source) -> Tensor:
    """The start in Linf, like ``x``: a random sign for every column of every channel. Section
    3.2, initialisation."""
    batch, channels, _, width = x.shape
    return _signs(uniform((batch, channels, 1, width), source)).to(x).expand_as(x)


def paint(point: Tensor, x: Tensor, eps: float, side: int, source: Source) -> Tensor:
    """A square of ``side`` pixels moved by plus or minus 2 eps, a sign for each channel, which
    the projection makes plus or minus eps. Algorithm 2."""
    batch, channels, *shape = x.shape
    drawn = uniform((batch, 2 + channels), source).to(x.device)
    _, _, inside = _window(drawn[:, :2], side, shape)
    return point + 2 * eps * _signs(drawn[:, 2:]).to(x)[:, :, None, None] * inside


def tiles(x: Tensor, source: Source) -> Tensor:
    """The start in L2, like ``x`` up to its length: ``bump`` tiles of a fifth of the image with
    a random sign for each channel. Section 3.3, initialisation; simplified in that all tiles lie
    the same way round and those at the edge are cut where 5 do not fill the image."""
    batch, channels, height, width = x.shape
    side = max(min(height, width) // 5, 1)
    rows, columns = -(-height // side), -(-width // side)
    signs = _signs(uniform((batch, channels, rows, columns), source)).to(x)
    signs = signs.repeat_interleave(side, 2).repeat_interleave(side, 3)
    return (signs * bump(side).to(x).repeat(rows, columns))[:, :, :height, :width]


def swap(point: Tensor, x: Tensor, eps: float, side: int, source: Source) -> Tensor:
    """The change of one window moved into another, where a ``bump`` of random sign and direction
    is added to it, with all of the radius that is unused. Algorithm 3; the windows are at least 3
    pixels wide."""
    import torch

    batch, channels, *shape = x.shape
    side = min(max(side, 3), *shape)
    drawn = uniform((batch, 5 + channels), source).to(x.device)
    rows, columns, first = _window(drawn[:, 0:2], side, shape)
    _, _, second = _window(drawn[:, 2:4], side, shape)
    upright = bump(side).to(x)
    shaped = upright.where(drawn[:, 4, None, None] < 0.5, upright.T)
    image = torch.arange(batch, device=x.device)[:, None, None]
    placed = shaped[image, rows[:, :, None], columns[:, None]].unsqueeze(1) * first
    change = point - x
    new = _signs(drawn[:, 5:]).to(x)[:, :, None, None] * placed + _unit(change * first)
    unused = (eps**2 - change.square().sum((1, 2, 3), keepdim=True)).clamp_min(0)
    both = first | second
    radius = (_length(change * both).square() + unused / channels).sqrt()
    return x + change.masked_fill(both, 0) + radius * _unit(new)


def bump(side: int) -> Tensor:
    """A pattern (side,side) of length 1: two centred pyramids of opposite sign, one above the
    other. Section 3.3, the equation of eta."""
    import torch

    def pyramid(rows: int, columns: int) -> Tensor:
        reach = max(rows, columns) // 2
        heights = torch.arange(1.0, reach + 2).square().reciprocal()
        heights = heights.flip(0).cumsum(0).flip(0)
        down = (torch.arange(rows) - rows // 2).abs()
        across = (torch.arange(columns) - columns // 2).abs()
        return heights[torch.maximum(down[:, None], across[None])]

    half = side // 2
    both = torch.cat([pyramid(half, side), -pyramid(side - half, side)])
    return both / both.square().sum().sqrt()


def _window(drawn: Tensor, side: int, shape: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """A square of ``side`` pixels for each image, its place uniform by ``drawn`` (B,2) in [0,1):
    the row (B,H) and the column (B,W) of every pixel in it, held to its edges, and which pixels
    lie inside, (B,1,H,W)."""
    import torch

    held, inside = [], []
    for axis, length in enumerate(shape):
        corner = (drawn[:, axis, None] * (length - side + 1)).long()
        offset = torch.arange(length, device=drawn.device) - corner
        held.append(offset.clamp(0, side - 1))
        inside.append(offset == held[-1])
    return held[0], held[1], (inside[0][:, :, None] & inside[1][:, None]).unsqueeze(1)


def _signs(drawn: Tensor) -> Tensor:
    """Uniform draws in [0,1) as fair signs."""
    return 1 - 2 * (drawn < 0.5).float()


def _length(change: Tensor) -> Tensor:
    """The Euclidean length of every channel, (B,C,1,1)."""
    return change.square().sum((2, 3), keepdim=True).sqrt()


def _unit(change: Tensor) -> Tensor:
    """Every channel at length 1; one that is zero stays zero."""
    import torch

    return change / _length(change).clamp_min(torch.finfo(change.dtype).tiny)


@ATTACKS.register("square", order=4)
@dataclass(frozen=True)
class Square(Asking):
    """Square attack (Andriushchenko et al. 2020, algorithms 1 to 3), for random targets too.

    It sees no gradient, so that a target which masks its own gains nothing. Differing from the
    paper, no image stops early, since being wrong on one draw proves nothing; and every query
    scores the incumbent again, since a random target's lucky one would never be replaced.
    """

    queries: int = 1000
    """Number of candidates."""
    rescored: bool = True
    """Score the incumbent beside every candidate, which doubles the cost; a target that is not
    random does not need it."""
    p: float = 0.8
    """Share of the pixels in the first squares, which shrink as the queries go on."""
    loss: str = "margin"
    """What the attack raises: ce (cross-entropy), margin or dlr."""

    def __post_init__(self) -> None:
        require_count("queries", self.queries)
        choose(LOSSES, self.loss, "loss")
        require_size("p", self.p, zero=False)
        if self.p > 1:
            raise ConfigError(f"p is {self.p!r}; give a share of the pixels of at most 1")

    @property
    def calls(self) -> tuple[int, int]:
        """No gradient; a score a query and one of the start, or two a query."""
        return 0, 2 * self.queries if self.rescored else self.queries + 1

    def within(self, questions: int) -> Self | None:
        """With as many candidates as ``questions`` allow; None where they allow none."""
        candidates = questions // 2 if self.rescored else questions - 1
        return replace(self, queries=candidates) if candidates > 0 else None

    def search(
        self,
        target: Target,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        source: Source,
        start: Tensor | None = None,
    ) -> Iterator[Tensor]:
        """The incumbents: the start, which is stripes or tiles unless it is given, and the better
        point after every candidate.

        Raises:
            ConfigError: the images, labels or the target's logits cannot be used, or the threat
                is neither Linf nor L2.
        """
        if isinstance(threat, Linf):
            pattern, propose = stripes, paint
        elif isinstance(threat, L2):
            pattern, propose = tiles, swap
        else:
            raise ConfigError(f"Square knows no squares for {threat!r}; give Linf or L2")
        x = checked(x, y)
        loss = LOSSES[self.loss]
        height, width = x.shape[2:]
        if start is None:
            start = threat.project(threat.step(x, pattern(x, source), threat.eps), x)
        state = SimpleNamespace(point=start, held=x.new_zeros(len(x)))
        numbers = resumable.steps(self.queries, state)
        yield state.point
        for query in numbers:
            area = share(self.p, query, self.queries) * height * width
            side = min(max(round(area**0.5), 1), height, width)
            candidate = threat.project(propose(state.point, x, threat.eps, side, source), x)
            tried = score(target, candidate, y, loss)
            if self.rescored or query == 0:
                state.held = score(target, state.point, y, loss)
            better = tried > state.held
            state.point = candidate.where(better.view(-1, 1, 1, 1), state.point)
            state.held = tried.where(better, state.held)
            yield state.point

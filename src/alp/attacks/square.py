"""Square attack: random search in squares, by the loss alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alp.attacks.base import Source, Target, Threat, checked, require_count, require_size
from alp.attacks.gradients import score
from alp.attacks.losses import LOSSES
from alp.attacks.squares import paint, share, stripes, swap, tiles
from alp.attacks.threats import L2, Linf
from alp.errors import ConfigError, choose

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Square:
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

    def __call__(
        self, target: Target, x: Tensor, y: Tensor, threat: Threat, source: Source
    ) -> Tensor:
        """Adversarial images like ``x``, (B,3,H,W) in [0,1].

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
        point = threat.project(threat.step(x, pattern(x, source), threat.eps), x)
        for query in range(self.queries):
            area = share(self.p, query, self.queries) * height * width
            side = min(max(round(area**0.5), 1), height, width)
            candidate = threat.project(propose(point, x, threat.eps, side, source), x)
            tried = score(target, candidate, y, loss)
            if self.rescored or query == 0:
                held = score(target, point, y, loss)
            better = tried > held
            point = candidate.where(better.view(-1, 1, 1, 1), point)
            held = tried.where(better, held)
        return point

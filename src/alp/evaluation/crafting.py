"""The attacked images of a batch, as every level of attacker knowledge makes them."""

from __future__ import annotations

from torch import Tensor

from alp import seeding
from alp.attacks import Attack, Threat, expected
from alp.errors import ConfigError
from alp.evaluation.knowledge import KNOWLEDGE, Subject


def craft(
    subject: Subject,
    level: str,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    attack: Attack,
    *,
    seed: int,
    batch: int,
    name: str | None = None,
    draws: int = 1,
    objective: str = "loss",
) -> Tensor:
    """``x`` (B,3,H,W) attacked by an attacker who knows ``level`` of ``subject``.

    The attacker averages ``draws`` draws of the defence by ``objective`` at each call. The
    attack's draws and the defence's, as the attacker sees them, are a function of ``seed``,
    ``name`` (by default ``level``) and ``batch``: whoever calls this for a batch of an evaluation
    gets the very images that the evaluation judged.

    Raises:
        ConfigError: the attack leaves the threat's ball or [0,1].
    """
    name = name or level
    noise = seeding.generator(seed, f"draw/{name}", batch, device=x.device)
    source = seeding.generator(seed, f"attack/{name}", batch, device=x.device)
    target = expected(KNOWLEDGE[level](subject, noise, draws), objective)
    x_adv = attack(target, x, y, threat, source)
    _require_inside(x_adv, threat.distance(x_adv, x), threat, attack)
    return x_adv


def _require_inside(x_adv: Tensor, distance: Tensor, threat: Threat, attack: Attack) -> None:
    """Rounding aside, the attack has to keep to the budget that its result is quoted for."""
    farthest = float(distance.max())
    if not farthest <= threat.eps * (1 + 1e-4) + 1e-6:
        raise ConfigError(
            f"the attack {attack} went {farthest:.4g} far, outside {threat}; "
            "evaluate with one that keeps to the threat, such as pgd"
        )
    low, high = x_adv.aminmax()
    if not (low >= 0 and high <= 1):
        raise ConfigError(
            f"the attack {attack} made pixels from {float(low):.4g} to {float(high):.4g}; "
            "evaluate with one that keeps to [0,1], such as pgd"
        )

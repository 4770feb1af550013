"""The attacks of AutoAttack (Croce and Hein 2020), from pyautoattack.

Its driver is not used: it sets the interpreter's trace function, which stops coverage tools and
debuggers, and logs to a logger of its own. Its attack classes do neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alp.attacks.base import Target, Threat, require, require_count
from alp.attacks.library.base import LIBRARY_ATTACKS, Craft, LibraryAttack
from alp.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor


def _craft(attack: str, kind: str, threat: Threat, seed: int, **settings: Any) -> Craft:
    """``perturb`` of the class ``kind``, written "module.class", with ``settings``."""
    module, name = kind.split(".")
    make = getattr(require(f"pyautoattack.{module}", attack), name)

    def craft(model: Target, x: Tensor, y: Tensor) -> Tensor:
        common = {"norm": type(threat).__name__, "eps": threat.eps, "seed": seed}
        points: Tensor = make(model, device=x.device, **common, **settings).perturb(x, y)
        return points

    return craft


@LIBRARY_ATTACKS.register("apgd-t", order=0)
@dataclass(frozen=True)
class TargetedAPGD(LibraryAttack):
    """APGD on the targeted DLR loss (Croce and Hein 2020, equation 7), towards each of the most
    likely wrong classes in turn. Needs four classes."""

    steps: int = 100
    """Gradient steps towards a class."""
    targets: int = 9
    """Wrong classes aimed at, the most likely ones first; at most all of them."""
    restarts: int = 1
    """Random starts for each class."""

    def __post_init__(self) -> None:
        require_count("steps", self.steps)
        require_count("targets", self.targets)
        require_count("restarts", self.restarts)

    @property
    def calls(self) -> tuple[int, int]:
        """An estimate from above: a run stops where no image is left."""
        runs = self.targets * self.restarts
        return runs * (self.steps + 1), runs + 4

    def stages(self, threat: Threat, classes: int, seed: int) -> Sequence[Craft]:
        """One stage.

        Raises:
            ConfigError: there are fewer than four classes.
        """
        name = type(self).__name__
        if classes < 4:
            raise ConfigError(
                f"the target has {classes} classes; {name} raises the targeted DLR loss, which "
                "needs at least 4: choose FAB or PGD with loss margin"
            )
        targets = min(self.targets, classes - 1)
        settings = {"n_iter": self.steps, "n_restarts": self.restarts, "n_target_classes": targets}
        return [_craft(name, "autopgd_base.APGDAttack_targeted", threat, seed, **settings)]


@LIBRARY_ATTACKS.register("fab-t", order=1)
@dataclass(frozen=True)
class FAB(LibraryAttack):
    """Targeted Fast Adaptive Boundary attack (Croce and Hein 2020b): steps along the boundary to
    each of the most likely wrong classes, back towards the image."""

    steps: int = 100
    """Gradient steps towards a class."""
    targets: int = 9
    """Wrong classes aimed at, the most likely ones first; at most all of them."""
    restarts: int = 1
    """Starts for each class; the first is the image, the others are random."""

    def __post_init__(self) -> None:
        require_count("steps", self.steps)
        require_count("targets", self.targets)
        require_count("restarts", self.restarts)

    @property
    def calls(self) -> tuple[int, int]:
        """An estimate from above: a run stops where no image is left."""
        runs = self.targets * self.restarts
        return runs * self.steps, runs * (self.steps + 3) + 4

    def stages(self, threat: Threat, classes: int, seed: int) -> Sequence[Craft]:
        """One stage."""
        settings = {
            "n_iter": self.steps,
            "n_restarts": self.restarts,
            "n_target_classes": min(self.targets, classes - 1),
            "targeted": True,
        }
        return [_craft(type(self).__name__, "fab_pt.FABAttack_PT", threat, seed, **settings)]


@LIBRARY_ATTACKS.register("square-reference", order=2)
@dataclass(frozen=True)
class SquareReference(LibraryAttack):
    """Square attack (Andriushchenko et al. 2020, algorithms 1 to 3) as AutoAttack runs it: its
    schedule of sizes is not stretched to the number of queries."""

    queries: int = 5000
    """Calls of the target for each image that holds out."""
    restarts: int = 1
    """Random starts."""

    def __post_init__(self) -> None:
        require_count("queries", self.queries)
        require_count("restarts", self.restarts)

    @property
    def calls(self) -> tuple[int, int]:
        """An estimate from above: a run stops where no image is left."""
        return 0, self.restarts * (self.queries + 2) + 4

    def stages(self, threat: Threat, classes: int, seed: int) -> Sequence[Craft]:
        """One stage."""
        settings = {
            "n_queries": self.queries,
            "n_restarts": self.restarts,
            "resc_schedule": False,
        }
        return [_craft(type(self).__name__, "square.SquareAttack", threat, seed, **settings)]


@LIBRARY_ATTACKS.register("autoattack", order=3)
@dataclass(frozen=True)
class AutoAttackStandard(LibraryAttack):
    """AutoAttack's standard ensemble (Croce and Hein 2020, section 6, version of 2020-08): APGD on
    the cross-entropy, targeted APGD, targeted FAB and Square, each on the images still correct."""

    @property
    def calls(self) -> tuple[int, int]:
        """An estimate from above, as if every image held out against every attack."""
        parts = [each.calls for each in (TargetedAPGD(), FAB(), SquareReference())]
        return 101 + sum(grads for grads, _ in parts), 3 + sum(others for _, others in parts)

    def stages(self, threat: Threat, classes: int, seed: int) -> Sequence[Craft]:
        """Four stages.

        Raises:
            ConfigError: there are fewer than four classes.
        """
        name = type(self).__name__
        first = _craft(name, "autopgd_base.APGDAttack", threat, seed, n_iter=100, loss="ce")
        others = (TargetedAPGD(), FAB(), SquareReference())
        return [first, *(craft for each in others for craft in each.stages(threat, classes, seed))]

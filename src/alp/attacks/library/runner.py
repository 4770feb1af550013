"""What all attacks from libraries share: checks, the guard, and which points count."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from alp.attacks.base import Target, Threat, checked
from alp.attacks.gradients import check_logits
from alp.attacks.library.guard import guarded
from alp.attacks.library.sealed import sealed
from alp.errors import ConfigError
from alp.seeding import Source

if TYPE_CHECKING:
    from torch import Tensor

Craft: TypeAlias = "Callable[[Target, Tensor, Tensor], Tensor]"
"""Model, correctly classified float32 images (B,3,H,W) and labels (B,) to points like them."""


class LibraryAttack(ABC):
    """An attack of a library: its subclass holds the settings and says how to run it."""

    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2")
    """Threats that the attack is made for."""

    @property
    @abstractmethod
    def calls(self) -> tuple[int, int]:
        """An estimate, mostly from above, of how often a batch calls the target with a gradient
        and without one: the libraries drop images that are broken, and stop early."""

    @abstractmethod
    def stages(self, threat: Threat, classes: int, seed: int) -> Sequence[Craft]:
        """What to run on a target of ``classes`` classes, each on the images that those before it
        left correct."""

    def __call__(
        self, target: Target, x: Tensor, y: Tensor, threat: Threat, source: Source
    ) -> Tensor:
        """Adversarial images like ``x``, (B,3,H,W) in [0,1].

        A point that changes the class is kept, projected to the threat where the attack looks for
        the smallest change; images for which none was found stay as they are. The libraries work
        in float32. ``target`` has to be deterministic.

        Raises:
            ConfigError: the images, labels or the target's logits cannot be used, the labels are
                soft, the target answers at random, or the attack has no version for the threat.
            AlpError: the library is not installed.
        """
        x, name = checked(x, y), type(self).__name__
        if type(threat).__name__ not in self.norms:
            known = " and ".join(self.norms)
            raise ConfigError(f"{name} knows the threat {known}, not {threat}; change one of them")
        if y.ndim != 1:
            raise ConfigError(
                f"y holds soft labels of shape {tuple(y.shape)}; {name} needs class indices (B,)"
            )
        with guarded(source, x.device) as seed:
            x_adv, labels = x.clone(), y.clone()
            model, points = sealed(target, x.dtype), x.float().contiguous()
            logits = model(points)
            check_logits(logits, labels)
            if (model(points) - logits).abs().max() > 1e-3 * logits.abs().max():
                raise ConfigError(
                    f"the target answers the same images differently each time; {name} needs a "
                    "deterministic one: bind a fixed bank of draws into it"
                )
            right = logits.argmax(1) == labels
            for craft in self.stages(threat, logits.shape[1], seed):
                rows = right.nonzero().flatten()
                if not len(rows):
                    break
                found = craft(model, points[rows], labels[rows]).detach().float()
                broken = found.isfinite().flatten(1).all(1)
                broken &= model(found.nan_to_num()).argmax(1) != labels[rows]
                x_adv[rows[broken]] = found[broken].to(x.dtype)
                right[rows[broken]] = False
            return threat.project(x_adv, x)

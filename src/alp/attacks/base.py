"""What an attack, a threat and a target are, and the checks that every attack makes.

An attack never sees a model: it gets a callable from images to logits. A randomised target draws
from a generator that the caller bound into the closure, so that one more draw of the attack's own
never changes the target's noise.

Loading a library of the extra ``attacks``.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from alp.config import require_number
from alp.errors import AlpError, ConfigError, install
from alp.registry import Registry
from alp.seeding import Source as Source

if TYPE_CHECKING:
    from torch import Tensor


Target: TypeAlias = "Callable[[Tensor], Tensor]"
"""Images (B,3,H,W) in [0,1] to logits (B,K), or (n,B,K) for n draws of each image; may be random.
Of several draws an attack raises the mean loss."""

Loss: TypeAlias = "Callable[[Tensor, Tensor], Tensor]"
"""Logits (B,K) and labels (B,) or (B,K) to a loss per example (B,), which the attacker raises."""


class Threat(Protocol):
    """The set of points an attacker may choose: a norm ball around x, cut to the image box."""

    @property
    def eps(self) -> float:
        """The radius, in the norm's units, on images in [0,1]."""

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """The point of the ball around ``x`` and of [0,1] that is nearest to ``x_adv``."""

    def random_start(self, x: Tensor, source: Source, scale: float = 1.0) -> Tensor:
        """A uniform draw from the ball of ``scale`` eps around ``x``, clipped to [0,1]."""

    def step(self, x: Tensor, gradient: Tensor, size: float) -> Tensor:
        """Steepest ascent: ``x`` moved by ``size`` (in the norm) to raise <gradient, x> most."""

    def distance(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """The norm of ``x_adv - x`` per example, (B,)."""


class Attack(Protocol):
    """Settings in the constructor, data in the call.

    The points of an attack keep to the threat. One that is for training alone may leave it, and
    says so by a class attribute ``training = True``.
    """

    @property
    def calls(self) -> tuple[int, int]:
        """How often a batch calls the target with a gradient and without one."""

    def __call__(
        self, target: Target, x: Tensor, y: Tensor, threat: Threat, source: Source
    ) -> Tensor:
        """Adversarial images (B,3,H,W), detached, for images ``x`` with labels ``y``."""


ATTACKS: Registry[type[Attack]] = Registry("ATTACKS", "alp.attacks", "alp.attacks")
"""Name to attack."""


def require_count(name: str, value: object) -> None:
    """Raise a ConfigError unless ``value`` is a whole number of at least 1."""
    require_number(name, value, 1, whole=True)


def require_size(name: str, value: object, *, zero: bool) -> None:
    """Raise a ConfigError unless ``value`` is a finite number above 0, or 0 where ``zero``."""
    require_number(name, value, 0, above=not zero)


def step_length(step_size: float | None, threat: Threat) -> float:
    """``step_size``, or eps/4 where it is None (2/255 at eps 8/255, and as apt for another norm
    or radius)."""
    return threat.eps / 4 if step_size is None else step_size


def checked(x: Tensor, y: Tensor) -> Tensor:
    """``x`` detached, once it and ``y`` are known to be what an attack needs.

    Raises:
        ConfigError: ``x`` is not a non-empty float batch (B,C,H,W) in [0,1], or ``y`` is neither
            class indices (B,) nor soft labels (B,K) for it.
    """
    if x.ndim != 4 or x.numel() == 0:
        raise ConfigError(f"x has shape {tuple(x.shape)}; give a non-empty batch (B,C,H,W)")
    if not x.is_floating_point():
        raise ConfigError(f"x is {x.dtype}; give floats in [0,1] (divide bytes by 255)")
    low, high = x.detach().aminmax()
    if not (low >= 0 and high <= 1):
        raise ConfigError(
            f"x reaches from {low.item():.6g} to {high.item():.6g}; give images in [0,1] "
            "(normalisation belongs inside the model)"
        )
    if y.shape[:1] != x.shape[:1] or y.ndim > 2:
        raise ConfigError(
            f"y has shape {tuple(y.shape)} for {len(x)} images; give class indices (B,) or soft "
            "labels (B,K)"
        )
    if y.is_floating_point() != (y.ndim == 2) or (y.ndim == 1 and y.dtype.itemsize < 8):
        raise ConfigError(
            f"y is {y.dtype} of shape {tuple(y.shape)}; class indices are int64 (B,), "
            "soft labels are floats (B,K)"
        )
    least, most = y.detach().aminmax()
    if not (least >= 0 and most < math.inf):
        raise ConfigError(
            f"y reaches from {least.item()} to {most.item()}; give finite labels of at least 0"
        )
    return x.detach()


def require(module: str, attack: str) -> Any:
    """The module ``module``, which ``attack`` needs.

    Raises:
        AlpError: its library is not installed; the message says how to install it.
    """
    library = module.split(".")[0]
    try:
        importlib.import_module(library)
    except ModuleNotFoundError as error:
        if error.name != library:  # installed, but not what it needs in turn
            raise
        raise AlpError(
            f"{attack} needs {library}, which is not installed: {install('attacks')}"
        ) from error
    return importlib.import_module(module)

"""Attacks of foolbox that look for the smallest change; what they find is projected to the threat.

Those that step by the target's gradient start from the image. Those that see its decision only
start from a point that is wrong already and move towards the image.

Two attacks of foolbox 3.3.4 with errors put right; all of them weaken the attack.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from alp.attacks.base import Target, Threat, require, require_count, require_size
from alp.attacks.library.base import LIBRARY_ATTACKS, Craft, LibraryAttack
from alp.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor


_OVERSHOOT = 1.02  # as far as DeepFool oversteps


def fmn(foolbox: Any, norm: str, **settings: Any) -> Any:
    """``L2FMNAttack`` or ``LInfFMNAttack`` whose steps end in the ball that they are meant for
    (Pintor et al. 2021, algorithm 1, line 9), and reach the boundary.

    The library's L2 projection scales by ``norms / norms``, which is 1: on a linear model its
    points were 6.4 times as far as the boundary. And until a wrong point is found, the radius is a
    first-order estimate that tends to the boundary from inside: so mended, the L2 attack found
    nothing for 48 of 48 images on a smooth model. A radius 2 % longer crosses it, and costs no
    accuracy, since it shrinks again from the first wrong point on. An image whose change is cut off
    by many faces of the box may still hold out.
    """
    linf = norm == "Linf"
    base: Any = foolbox.attacks.LInfFMNAttack if linf else foolbox.attacks.L2FMNAttack

    class FMN(base):  # type: ignore[misc]
        def project(self, x: Any, x0: Any, epsilon: Any) -> Any:
            epsilon = epsilon * _OVERSHOOT
            if linf:
                return super().project(x, x0, epsilon)
            length = _length(x - x0)
            factor = (epsilon / length.maximum(1e-12)).minimum(1)
            return x0 + (x - x0) * factor.reshape((-1, 1, 1, 1))

    return FMN(**settings)


def hop_skip_jump(foolbox: Any, norm: str, **settings: Any) -> Any:
    """``HopSkipJumpAttack`` that scales the gradient of each image to length 1 (Chen et al. 2020,
    equation 12).

    The library divides by the length over the whole batch, so that steps shrink as it grows: on a
    linear model its points were 1.2 times as far as the boundary for batches of 1 image, and 2.4
    times for 16.
    """

    class HopSkipJump(foolbox.attacks.HopSkipJumpAttack):  # type: ignore[misc]
        def approximate_gradients(self, *args: Any) -> Any:
            gradient = super().approximate_gradients(*args)
            return gradient / _length(gradient).maximum(1e-12).reshape((-1, 1, 1, 1))

    return HopSkipJump(constraint=norm.lower(), **settings)


def _length(x: Any) -> Any:
    """Euclidean length of each image of an eagerpy tensor, (B,)."""
    return x.flatten(1).square().sum(axis=-1).sqrt()


_BLENDS = 50
_DIRECTIONS = 100


class MinimumNorm(LibraryAttack):
    """Runs the attack of foolbox that a subclass makes from its settings."""

    decision_based: ClassVar[bool] = False
    """Whether the attack starts from noise that is blended into the image until it is wrong. An
    image whose class noise has too stays as it is."""

    @abstractmethod
    def make(self, foolbox: Any, norm: str) -> Any:
        """The attack for ``norm``, Linf or L2."""

    def stages(self, threat: Threat, classes: int, seed: int) -> Sequence[Craft]:
        """One stage; foolbox draws from the global generator, which the guard has seeded."""
        foolbox = require("foolbox", type(self).__name__)
        attack = self.make(foolbox, type(threat).__name__)
        noise = foolbox.attacks.LinearSearchBlendedUniformNoiseAttack(
            directions=_DIRECTIONS, steps=_BLENDS
        )

        def craft(model: Target, x: Tensor, y: Tensor) -> Tensor:
            wrapped = _wrapped(foolbox, model, x)
            if not self.decision_based:
                points: Tensor = attack.run(wrapped, x, y)
                return points
            start = noise.run(wrapped, x, y)
            wrong = model(start).argmax(1) != y
            points = x.clone()
            if wrong.any():  # foolbox refuses the whole batch for one start that is right
                points[wrong] = attack.run(
                    wrapped, x[wrong], y[wrong], starting_points=start[wrong]
                )
            return points

        return [craft]


def _wrapped(foolbox: Any, model: Target, x: Tensor) -> Any:
    """``model`` as foolbox wants it: a module in eval mode. It is a plain function, so that no
    module behind it is registered, moved or switched."""
    import torch

    module = torch.nn.Module().eval()
    module.forward = model
    return foolbox.PyTorchModel(module, bounds=(0, 1), device=x.device)


@LIBRARY_ATTACKS.register("deepfool", order=7)
@dataclass(frozen=True)
class DeepFool(MinimumNorm):
    """DeepFool (Moosavi-Dezfooli et al. 2016, algorithm 2): steps to the nearest boundary of the
    linearised model."""

    steps: int = 50
    """Largest number of steps."""
    candidates: int = 10
    """Most likely classes that are looked at, the own one included; at least 2."""

    def __post_init__(self) -> None:
        require_count("steps", self.steps)
        require_count("candidates", self.candidates)
        if self.candidates < 2:
            raise ConfigError("candidates is 1; give at least 2: the own class and another")

    @property
    def calls(self) -> tuple[int, int]:
        """An estimate from above: it stops where every image is wrong."""
        return self.steps * (self.candidates - 1), 4

    def make(self, foolbox: Any, norm: str) -> Any:
        """The attack for ``norm``."""
        kind = getattr(foolbox.attacks, f"{norm}DeepFoolAttack")
        return kind(steps=self.steps, candidates=self.candidates)


@LIBRARY_ATTACKS.register("cw", order=6)
@dataclass(frozen=True)
class CarliniWagner(MinimumNorm):
    """Carlini and Wagner 2017, section 5 (L2): Adam on the squared length plus c times the margin,
    with a search for the smallest c that does."""

    norms = ("L2",)

    steps: int = 200
    """Steps of Adam for each c."""
    searches: int = 9
    """Values of c that are tried."""
    step_size: float = 0.01
    """Step size of Adam, in the space whose tanh is the image."""

    def __post_init__(self) -> None:
        require_count("steps", self.steps)
        require_count("searches", self.searches)
        require_size("step_size", self.step_size, zero=False)

    @property
    def calls(self) -> tuple[int, int]:
        """An estimate from above: a search stops where the loss no longer falls."""
        return self.steps * self.searches, 3

    def make(self, foolbox: Any, norm: str) -> Any:
        """The attack."""
        return foolbox.attacks.L2CarliniWagnerAttack(
            steps=self.steps, binary_search_steps=self.searches, stepsize=self.step_size
        )


@LIBRARY_ATTACKS.register("fmn", order=8)
@dataclass(frozen=True)
class FMN(MinimumNorm):
    """Fast minimum-norm attack (Pintor et al. 2021, algorithm 1): gradient steps in a ball whose
    radius shrinks while the point is wrong and grows while it is right."""

    steps: int = 100
    """Gradient steps."""

    def __post_init__(self) -> None:
        require_count("steps", self.steps)

    @property
    def calls(self) -> tuple[int, int]:
        """A gradient a step."""
        return self.steps, 3

    def make(self, foolbox: Any, norm: str) -> Any:
        """The attack for ``norm``."""
        return fmn(foolbox, norm, steps=self.steps)


@LIBRARY_ATTACKS.register("boundary", order=4)
@dataclass(frozen=True)
class Boundary(MinimumNorm):
    """Boundary attack (Brendel et al. 2018, algorithm 1): a random walk along the boundary towards
    the image. Sees the decision only."""

    norms = ("L2",)
    decision_based = True

    steps: int = 5000
    """Steps of the walk."""

    def __post_init__(self) -> None:
        require_count("steps", self.steps)

    @property
    def calls(self) -> tuple[int, int]:
        """An estimate from above: a walk ends where its step size has fallen to nothing."""
        return 0, self.steps + self.steps // 10 + _BLENDS + _DIRECTIONS + 6

    def make(self, foolbox: Any, norm: str) -> Any:
        """The attack."""
        return foolbox.attacks.BoundaryAttack(steps=self.steps)


@LIBRARY_ATTACKS.register("hopskipjump", order=5)
@dataclass(frozen=True)
class HopSkipJump(MinimumNorm):
    """HopSkipJump (Chen et al. 2020, algorithm 2): steps along the boundary's normal, estimated
    from decisions around a point on it. Sees the decision only."""

    decision_based = True

    steps: int = 32
    """Steps along the boundary."""
    evaluations: int = 100
    """Decisions for the first estimate of the normal; step t takes sqrt(t) times as many, and
    holds as many copies of the batch in memory."""

    def __post_init__(self) -> None:
        require_count("steps", self.steps)
        require_count("evaluations", self.evaluations)

    @property
    def calls(self) -> tuple[int, int]:
        """An estimate: the length of the searches along a line depends on the target."""
        normals = sum(int(self.evaluations * (t + 1) ** 0.5) for t in range(self.steps))
        return 0, normals + self.steps * 35 + _BLENDS + _DIRECTIONS + 6

    def make(self, foolbox: Any, norm: str) -> Any:
        """The attack for ``norm``."""
        return hop_skip_jump(
            foolbox, norm, steps=self.steps, initial_gradient_eval_steps=self.evaluations
        )

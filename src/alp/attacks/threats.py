"""Threats: the norm balls an attacker may move in, always cut to the image box [0,1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alp.attacks.base import Source, require_size
from alp.errors import ConfigError
from alp.seeding import normal, uniform

if TYPE_CHECKING:
    from torch import Tensor

_IMAGE = (1, 2, 3)
_ROUNDS = 20  # 3 are usual; 12 were the most in a ball that all but covered the box


@dataclass(frozen=True)
class Linf:
    """No pixel value moves by more than eps."""

    eps: float = 8 / 255
    """Largest change of a pixel value, on images in [0,1] (8/255 is about 0.0314)."""

    def __post_init__(self) -> None:
        require_size("eps", self.eps, zero=True)
        if self.eps > 1:
            raise ConfigError(
                f"eps is {self.eps!r}, larger than the range [0,1] of a pixel; "
                f"divide grey levels by 255 ({self.eps:g}/255)"
            )

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """The point of the ball around ``x`` and of [0,1] that is nearest to ``x_adv``."""
        return x_adv.clamp(x - self.eps, x + self.eps).clamp(0, 1)

    def random_start(self, x: Tensor, source: Source, scale: float = 1.0) -> Tensor:
        """Every pixel value moved by a uniform draw from [-r, r) with r = ``scale`` eps, clipped
        to [0,1]."""
        noise = uniform(x.shape, source).to(x)
        return (x + scale * self.eps * (2 * noise - 1)).clamp(0, 1)

    def step(self, x: Tensor, gradient: Tensor, size: float) -> Tensor:
        """``x + size * sign(gradient)``, the steepest ascent in this norm."""
        return x + size * gradient.sign()

    def distance(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """The largest change of a pixel value per example, (B,)."""
        return (x_adv - x).abs().amax(_IMAGE)


@dataclass(frozen=True)
class L2:
    """The Euclidean length of the change of an image is at most eps."""

    eps: float = 0.5
    """Largest Euclidean length of the change, on images in [0,1]."""

    def __post_init__(self) -> None:
        require_size("eps", self.eps, zero=True)

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """The point of the ball around ``x`` and of [0,1] that is nearest to ``x_adv``.

        Clipping after scaling would stop short of the sphere where pixels saturate. By the
        Karush-Kuhn-Tucker conditions the nearest point is ``x + clip(c * delta)`` with one factor
        ``c <= 1`` an image; each round solves for ``c`` with the pixels clipped so far held fixed.
        The rounds approach it from below, so that stopping early never leaves the ball.
        """
        import torch

        delta, low, high = x_adv - x, -x, 1 - x
        tiny = torch.finfo(x.dtype).tiny
        length = delta.square().sum(_IMAGE, keepdim=True).sqrt()
        scale = (self.eps / length.clamp_min(tiny)).clamp_max(1)
        for _ in range(_ROUNDS):
            moved = scale * delta
            clipped = moved.clamp(low, high)
            free = moved == clipped
            held = clipped.masked_fill(free, 0).square().sum(_IMAGE, keepdim=True)
            loose = delta.masked_fill(~free, 0).square().sum(_IMAGE, keepdim=True)
            factor = ((self.eps**2 - held).clamp_min(0) / loose.clamp_min(tiny)).sqrt()
            risen = torch.maximum(scale, factor.clamp_max(1))
            if torch.equal(risen, scale):
                break
            scale = risen
        return (x + (scale * delta).clamp(low, high)).clamp(0, 1)

    def random_start(self, x: Tensor, source: Source, scale: float = 1.0) -> Tensor:
        """A uniform draw from the ball of radius r = ``scale`` eps around ``x``, clipped to [0,1].

        A Gaussian's direction is uniform (Muller 1959), and the radius of a uniform point of the
        d-dimensional ball is r * u**(1/d).
        """
        noise = normal(x.shape, source).to(x)
        radius = uniform((len(x), 1, 1, 1), source).to(x) ** (1 / x[0].numel())
        return self.step(x, noise, scale * self.eps * radius).clamp(0, 1)

    def step(self, x: Tensor, gradient: Tensor, size: float | Tensor) -> Tensor:
        """``x + size * gradient / ||gradient||``; an image whose gradient is zero stays.

        The gradient is first divided by its largest entry: the squares of a confident model's
        tiny gradients would underflow to a length of zero.
        """
        import torch

        tiny = torch.finfo(gradient.dtype).tiny
        gradient = gradient / gradient.abs().amax(_IMAGE, keepdim=True).clamp_min(tiny)
        length = gradient.square().sum(_IMAGE, keepdim=True).sqrt()
        return x + size * gradient / length.clamp_min(tiny)

    def distance(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """The Euclidean length of the change per example, (B,)."""
        return (x_adv - x).square().sum(_IMAGE).sqrt()

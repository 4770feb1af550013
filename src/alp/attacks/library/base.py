"""What all attacks from libraries share: checks, the guard, and which points count.

A target as libraries may see it: nothing they do reaches what lies behind it.

Global state that attack libraries change, saved and restored around them.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, cast

from alp.attacks.base import Target, Threat, checked
from alp.attacks.gradients import check_logits, expected
from alp.errors import ConfigError
from alp.registry import Registry
from alp.seeding import Source, lent, uniform

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch import device as Device


def sealed(target: Target, dtype: torch.dtype) -> Target:
    """``target`` with float32 images in, which it gets as ``dtype``, and float32 logits (B,K) out,
    the mean over draws where it answers (n,B,K).

    foolbox and FAB call ``backward()``, which would add to the ``.grad`` of every parameter behind
    the target. Here the backward pass ends at the images; it is zero where the target cuts the
    gradient or an entry is not a number. The logits are a copy: Square writes into them.
    """
    import torch

    averaged = expected(target, "logits")

    def answer(x: Tensor) -> Tensor:
        return averaged(x.to(dtype)).to(torch.float32, copy=True)

    class Sealed(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            with torch.enable_grad():
                ctx.point = x.detach().requires_grad_()
                ctx.logits = answer(ctx.point)
            return cast("Tensor", ctx.logits.detach())

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
            found = None
            if ctx.logits.requires_grad:
                (found,) = torch.autograd.grad(ctx.logits, ctx.point, gradient, allow_unused=True)
            return torch.zeros_like(ctx.point) if found is None else found.nan_to_num(nan=0.0)

    def model(x: Tensor) -> Tensor:
        if torch.is_grad_enabled() and x.requires_grad:
            return cast("Tensor", Sealed.apply(x))  # type: ignore[no-untyped-call]
        with torch.no_grad():
            return answer(x)

    return model


_LIBRARIES = "foolbox|pyautoattack"


@contextmanager
def guarded(source: Source, device: Device) -> Iterator[int]:
    """Inside, every global generator starts from a seed drawn from ``source``, which is yielded for
    libraries that seed again; after, all global state is as it was.

    What the libraries change (pyautoattack 0.2.0, foolbox 3.3.4): torch's generators on every
    device, by ``manual_seed``; the handlers of the root logger, through ``logging.info``; the
    trace function, which AutoAttack's driver sets to None. A target's code may change more: the
    generators of numpy and Python, the profile function, the warning filters and torch's gradient
    mode are kept too. The libraries' own warnings are silenced: zero gradients, for one, are
    counted by the evaluation's checks.
    """
    import torch

    # 24 bits are what a float32 below 1 holds.
    seed = int(uniform((1,), source).item() * 2**24)
    with ExitStack() as undo:
        if torch.cuda.is_available():
            undo.callback(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all())
        if torch.backends.mps.is_available():
            undo.callback(torch.mps.set_rng_state, torch.mps.get_rng_state())
        undo.enter_context(lent(seed, device))
        undo.callback(threading.settrace, threading.gettrace())  # type: ignore[arg-type]
        undo.callback(threading.setprofile, threading.getprofile())
        undo.callback(sys.settrace, sys.gettrace())
        undo.callback(sys.setprofile, sys.getprofile())
        undo.callback(setattr, logging.root, "handlers", logging.root.handlers[:])
        undo.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", module=_LIBRARIES)
        undo.enter_context(torch.inference_mode(False))
        undo.enter_context(torch.enable_grad())
        yield seed


Craft: TypeAlias = "Callable[[Target, Tensor, Tensor], Tensor]"
"""Model, correctly classified float32 images (B,3,H,W) and labels (B,) to points like them."""


LIBRARY_ATTACKS: Registry[type[LibraryAttack]] = Registry(
    "LIBRARY_ATTACKS", "alp.attacks.library", "alp.attacks"
)
"""Name to attack; each names the norms it knows in ``norms``."""


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

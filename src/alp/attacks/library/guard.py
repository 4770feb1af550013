"""Global state that attack libraries change, saved and restored around them."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from alp.seeding import Source, lent, uniform

if TYPE_CHECKING:
    from torch import device as Device

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

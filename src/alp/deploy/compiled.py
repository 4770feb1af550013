"""A classifier alone in an engine, as the base of a smoothed one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from alp.defences.plan import BLOCK
from alp.defences.smoothed import VoteEngine
from alp.deploy.backends import BuildOptions, usable
from alp.deploy.engine import Floats, check_calibration, cores
from alp.errors import AlpError, ConfigError


@dataclass(frozen=True, eq=False)
class CompiledClassifier(VoteEngine):
    """A torch classifier compiled by a backend: images (B,3,H,W) -> logits (B,K), both float32.

    It always computes ``BLOCK`` images; fewer are filled up with zeros. Nothing is compiled before
    the first images, and a copy in another process is compiled there from the torch classifier.

    Raises:
        UnknownNameError: there is no such backend.
        ConfigError: the backend has no such precision, or int8 has no calibration.
        AlpError: what the backend needs is not installed.
    """

    classifier: nn.Module | None
    """Images to logits, in evaluation mode; None on the way to another process."""
    backend: str
    """A name of ``alp.deploy.BACKENDS``."""
    precision: str = "float32"
    """float32, bfloat16 or int8, as the backend can."""
    size: tuple[int, int] = (32, 32)
    """Height and width of the images."""
    threads: int = 1
    """Processor threads; 0 for all cores."""
    calibration: Floats | None = None
    """Training images (N,3,H,W) with noise, whose values set the ranges of int8."""

    def __post_init__(self) -> None:
        usable(self.backend, self.precision)
        object.__setattr__(self, "threads", cores(self.threads))
        if self.precision == "int8":
            check_calibration(self.calibration, self.size)
        else:
            object.__setattr__(self, "calibration", None)

    def __call__(self, images: Tensor) -> Tensor:
        """Logits (B,K).

        Raises:
            ConfigError: the images have another size.
            AlpError: the backend cannot compile the classifier.
        """
        if images.ndim != 4 or tuple(images.shape[1:]) != (3, *self.size):
            raise ConfigError(
                f"images have the shape {tuple(images.shape)}; the classifier is compiled for "
                f"(batch, 3, {self.size[0]}, {self.size[1]}): compile it for their size"
            )
        given = images.detach().float().contiguous().cpu().numpy()
        missing = -len(given) % BLOCK
        full = np.pad(given, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else given
        blocks = range(0, len(full), BLOCK)
        logits = np.concatenate([self._network(full[each : each + BLOCK]) for each in blocks])
        return torch.from_numpy(logits[: len(given)]).to(images.device)

    @property
    def described(self) -> dict[str, Any]:
        backend = usable(self.backend, self.precision)
        told: dict[str, Any] = {
            "backend": self.backend,
            "precision": self.precision,
            "threads": self.threads,
            "libraries": {name: version(name) for name in backend.needs},
        }
        if self.calibration is not None:
            told["calibration"] = hashlib.sha256(self.calibration.tobytes()).hexdigest()
        return told

    def made_of(self, classifier: nn.Module | None) -> CompiledClassifier:
        return replace(self, classifier=classifier)

    @cached_property
    def _network(self) -> Callable[[Floats], Floats]:
        backend = usable(self.backend, self.precision)
        assert self.classifier is not None
        try:
            options = BuildOptions(self.threads, self.precision, self.size, self.calibration)
            return backend.network(self.classifier, options)
        except AlpError:
            raise
        except Exception as error:  # of many classes, by what a module's code does
            reason = " ".join(str(error).split())[:300]
            raise AlpError(
                f"the backend {self.backend!r} cannot compile the classifier ({reason}); take "
                "backend eager"
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}

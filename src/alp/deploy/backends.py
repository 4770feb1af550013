"""The backends that run a defended model; each is in the file of its engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

from alp.errors import AlpError, ConfigError, choose
from alp.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    from alp.defences import Defended
    from alp.deploy.engine import Engine, Floats


@dataclass(frozen=True, eq=False)
class BuildOptions:
    """How a model is built, checked by those who ask a backend."""

    threads: int
    """Processor threads."""
    precision: str
    """One of the backend's."""
    size: tuple[int, int]
    """Height and width of the images."""
    calibration: Floats | None
    """Training images (N,3,H,W) whose values set the ranges of int8."""


class Backend(ABC):
    """One way to run a model."""

    precisions: ClassVar[tuple[str, ...]] = ("float32",)
    """Precisions that it can compute in, of ``PRECISIONS``."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Packages that have to be installed."""
    repair: ClassVar[str] = ""
    """The command that installs them."""

    @abstractmethod
    def engine(self, defended: Defended, options: BuildOptions) -> Engine:
        """An engine of ``defended``; see :func:`build`."""

    def network(self, classifier: nn.Module, options: BuildOptions) -> Callable[[Floats], Floats]:
        """A classifier alone, images (B,3,H,W) -> logits (B,K).

        Raises:
            ConfigError: the backend runs defended models only.
        """
        raise ConfigError(
            f"the backend {type(self).__name__} runs no classifier without a purifier; take "
            "backend eager"
        )


BACKENDS: Registry[type[Backend]] = Registry("BACKENDS", "alp.deploy", "alp.backends")
"""Name to backend."""

PRECISIONS = ("float32", "bfloat16", "int8")


def build(
    name: str,
    defended: Defended,
    threads: int = 0,
    precision: str = "float32",
    *,
    size: tuple[int, int] = (32, 32),
    calibration: Floats | None = None,
) -> Engine:
    """An engine of ``defended``, which runs where the model is: on a GPU by torch alone.

    Args:
        name: of the backend.
        threads: processor threads; 0 for all cores.
        precision: float32, bfloat16 or int8 (post-training quantisation), as the backend can.
        size: height and width of the images.
        calibration: clean training images (B,3,H,W), float32 in [0,1], whose values set the
            ranges of int8.

    Raises:
        UnknownNameError: there is no such backend.
        ConfigError: there is no such precision or size, or int8 has no calibration.
        AlpError: what the backend needs is not installed.
    """
    from alp.deploy.engine import check_calibration, cores

    backend = usable(name, precision)
    if precision == "int8":
        check_calibration(calibration, size)
    return backend.engine(defended, BuildOptions(cores(threads), precision, size, calibration))


def usable(name: str, precision: str) -> Backend:
    """The backend ``name``, if it is installed and has the precision.

    Raises:
        UnknownNameError: there is no such backend.
        ConfigError: it has no such precision.
        AlpError: what it needs is not installed.
    """
    backend = choose(BACKENDS, name, "backend")
    if precision not in backend.precisions:
        able = [other for other, each in BACKENDS.items() if precision in each.precisions]
        repair = f"; take backend {' or '.join(able)}" if able else ""
        raise ConfigError(
            f"the backend {name!r} has no precision {precision!r}, only "
            f"{', '.join(backend.precisions)}{repair}"
        )
    if not all(find_spec(package) for package in backend.needs):
        raise AlpError(f"the backend {name!r} needs {', '.join(backend.needs)}: {backend.repair}")
    return backend()

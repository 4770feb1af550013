"""The backends that run a defended model; each in a file of its own."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from alp.errors import AlpError, ConfigError, choose

if TYPE_CHECKING:
    from alp.defences import Defended
    from alp.deploy.engine import Engine, Floats


@dataclass(frozen=True)
class Backend:
    """One way to run a model; its module is imported when it is used."""

    name: str
    """How it is called."""
    module: str
    """Where its function ``build`` is."""
    precisions: tuple[str, ...]
    """Precisions that it can compute in."""
    needs: tuple[str, ...] = ()
    """Packages that have to be installed."""
    extra: str = ""
    """The extra of alp that installs them."""

    @property
    def installed(self) -> bool:
        """Whether all that it needs is there."""
        return all(find_spec(package) for package in self.needs)

    def build(
        self,
        defended: Defended,
        threads: int = 0,
        precision: str = "float32",
        *,
        size: tuple[int, int] = (32, 32),
        calibration: Floats | None = None,
    ) -> Engine:
        """An engine of ``defended``, which runs where the model is: on a GPU by torch alone.

        Args:
            threads: processor threads; 0 for all cores.
            precision: float32, bfloat16 or int8 (post-training quantisation), as the backend can.
            size: height and width of the images.
            calibration: clean training images (B,3,H,W), float32 in [0,1], whose values set the
                ranges of int8.

        Raises:
            ConfigError: there is no such precision or size, or int8 has no calibration.
            AlpError: what the backend needs is not installed.
        """
        if precision not in self.precisions:
            able = [name for name, each in BACKENDS.items() if precision in each.precisions]
            repair = f"; take backend {' or '.join(able)}" if able else ""
            raise ConfigError(
                f"the backend {self.name!r} has no precision {precision!r}, only "
                f"{', '.join(self.precisions)}{repair}"
            )
        if not self.installed:
            raise AlpError(
                f"the backend {self.name!r} needs {', '.join(self.needs)}: "
                f'pip install "alp[{self.extra}]"'
            )
        from alp.deploy.engine import check_calibration, cores

        if precision == "int8":
            check_calibration(calibration, size)
        make = import_module(self.module).build
        engine: Engine = make(defended, cores(threads), precision, size, calibration)
        return engine


_ONNX = ("onnx", "onnxscript", "onnxruntime")

BACKENDS: dict[str, Backend] = {
    each.name: each
    for each in (
        Backend("eager", "alp.deploy.torch_engine", ("float32", "bfloat16")),
        Backend("compile", "alp.deploy.compiled", ("float32", "bfloat16")),
        Backend("onnxruntime", "alp.deploy.onnx_engine", ("float32", "int8"), _ONNX, "onnx"),
        Backend(
            "openvino",
            "alp.deploy.openvino_engine",
            ("float32", "bfloat16", "int8"),
            (*_ONNX, "openvino"),
            "openvino",
        ),
    )
}
"""Name to backend."""

PRECISIONS = ("float32", "bfloat16", "int8")


def build(
    name: str, defended: Defended, threads: int = 0, precision: str = "float32", **options: Any
) -> Engine:
    """An engine of ``defended`` by the backend ``name``; the rest as :meth:`Backend.build`.

    Raises:
        UnknownNameError: there is no such backend.
    """
    return choose(BACKENDS, name, "backend").build(defended, threads, precision, **options)

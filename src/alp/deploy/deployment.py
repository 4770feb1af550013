"""How a defended model is deployed: in which backend, and with how many draws."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alp.deploy.consensus import Consensus
from alp.deploy.engine import Floats
from alp.errors import ConfigError

if TYPE_CHECKING:
    from alp.defences.base import Defence


@dataclass(frozen=True)
class Deployment:
    """A frozen, picklable description, so that every worker process makes its own engine."""

    backend: str | None = None
    """A name of ``alp.deploy.BACKENDS``; None for torch as it is."""
    precision: str = "float32"
    """Of the backend."""
    sequential: bool = False
    """Whether drawing stops once the decision is made."""
    calibration: Floats | None = field(default=None, repr=False, compare=False)
    """Clean training images (N,3,H,W) in [0,1]: an engine is built for their size, and int8 for
    their ranges."""

    def __post_init__(self) -> None:
        if self.precision != "float32" and self.backend is None:
            raise ConfigError(
                f"precision is {self.precision!r}, which is an engine's; give a --backend too"
            )

    @property
    def words(self) -> str:
        """For the record, such as ``backend openvino, bfloat16``; empty where nothing changes."""
        words = [] if self.backend is None else [f"backend {self.backend}, {self.precision}"]
        if self.sequential:
            rule = Consensus()
            words.append(
                f"sequential consensus: looks after {rule.first} draws and every {rule.group}, "
                f"error {rule.error:g}"
            )
        return "; ".join(words)

    def __call__(self, defence: Defence) -> Defence:
        """What is deployed of a defended model.

        Raises:
            ConfigError: it has no purifier, or the backend cannot build it.
        """
        from alp.defences.packaged import require_defended
        from alp.deploy.backends import build
        from alp.deploy.sequential import SequentialDefended
        from alp.deploy.target import EngineTarget

        if not self.words:
            return defence
        model = require_defended(defence, "what --backend and --sequential deploy")
        consensus = Consensus(draws=model.draws) if self.sequential else None
        if self.backend is None:
            return SequentialDefended(model.classifier, model.purifier, consensus).eval()
        assert self.calibration is not None, "an engine is built for the size of the images"
        engine = build(
            self.backend,
            model,
            precision=self.precision,
            size=(self.calibration.shape[2], self.calibration.shape[3]),
            calibration=self.calibration,
        )
        return EngineTarget(engine, model, consensus).eval()

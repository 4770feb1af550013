"""How an experiment of the paper is run: scale, data, trials, threat. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field

from alp.attacks import PGD, Linf
from alp.config import EngineConfig, positive
from alp.errors import choose
from alp.evaluation.knowledge import KNOWLEDGE, PAPER
from alp.training.recipes import Scale


@dataclass(frozen=True)
class Protocol:
    """The settings that every experiment shares."""

    scale: Scale = "cpu"
    """smoke: seconds; demo: minutes on the embedded shapes; cpu: two cores; gpu."""
    data: str | None = None
    """Data set or image folder; by default shapes for smoke and demo, else cifar10."""
    trials: int = 5
    """Purifiers trained from different seeds."""
    images: int = 1000
    """Test images, the same for every row."""
    draws: int = 20
    """Draws of the consensus."""
    threat: Linf = field(default_factory=Linf)
    """The ball of the attacker."""
    attack: PGD = field(default_factory=PGD)
    """The attack; seven steps of 2/255 (the paper names no radius; ours is 8/255)."""
    knowledge: tuple[str, ...] = PAPER
    """What the attacker knows: one column each."""
    seed: int = 0
    """Seed of the first trial; the others count up from it."""
    engine: EngineConfig = field(default_factory=EngineConfig)
    """Where it runs."""

    def __post_init__(self) -> None:
        positive(self, "trials", "images", "draws")
        for level in self.knowledge:  # before hours of training
            choose(KNOWLEDGE, level, "level of attacker knowledge")

    @property
    def dataset(self) -> str:
        """The data set in use."""
        if self.data is not None:
            return self.data
        return "shapes" if self.scale in ("smoke", "demo") else "cifar10"

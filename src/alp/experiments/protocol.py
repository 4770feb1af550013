"""How an experiment of the paper is run: scale, data, trials, threat. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field

from alp.attacks import PGD, Linf
from alp.config import EngineConfig, positive
from alp.errors import choose
from alp.evaluation.knowledge import KNOWLEDGE, PAPER
from alp.training.recipes import Scale

_USUAL = {
    "smoke": {"trials": 2, "images": 16, "draws": 4},
    "demo": {"trials": 2, "images": 500, "draws": 20},
    "cpu": {"trials": 5, "images": 1000, "draws": 20},
    "gpu": {"trials": 5, "images": 10_000, "draws": 20},
}
"""What a scale takes where nothing else is asked for."""


@dataclass(frozen=True)
class Protocol:
    """The settings that every experiment shares."""

    scale: Scale = "cpu"
    """smoke: seconds; demo: minutes on the embedded shapes; cpu: two cores; gpu."""
    data: str | None = None
    """Data set or image folder; by default shapes for smoke and demo, else cifar10."""
    trials: int = 0
    """Trainings of each model, from different seeds; 0 takes the scale's number, 5 for cpu."""
    images: int = 0
    """Test images of the hierarchy; the others take a share of them. 0 takes the scale's number,
    1000 for cpu."""
    draws: int = 0
    """Draws of the consensus; 0 takes the scale's number, 20 but for smoke."""
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
    weights: str | None = None
    """A package, such as cifar10-lite, or a folder of weights (standard, adversarial, purifier,
    standalone, each as .safetensors) to take in place of the trainings of trial 0, as far as they
    are there; where there is one trial, A-ALP + AT too (defended)."""

    def __post_init__(self) -> None:
        for name, default in choose(_USUAL, self.scale, "scale").items():
            object.__setattr__(self, name, getattr(self, name) or default)
        positive(self, "trials", "images", "draws")
        for level in self.knowledge:  # before hours of training
            choose(KNOWLEDGE, level, "level of attacker knowledge")

    @property
    def dataset(self) -> str:
        """The data set in use."""
        if self.data is not None:
            return self.data
        return "shapes" if self.scale in ("smoke", "demo") else "cifar10"

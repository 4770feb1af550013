"""Named recipes: a stage's settings at each scale, with the cost and the result to expect.

``smoke`` takes seconds and teaches little (tests); ``demo`` takes a minute on the embedded shapes;
``cpu`` is for two cores, ``gpu`` for one accelerator. Costs are images a second on two cores at
bfloat16 (smoke, demo, cpu), results are of the CIFAR-10 validation split.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from alp.config import ClassifierConfig, OptimConfig, PurifierConfig, RateConfig
from alp.data.augment import Augment
from alp.errors import choose
from alp.training.stages import (
    AdversaryConfig,
    ClassifierStage,
    JointStage,
    PurifierStage,
    Stage,
)

Scale = Literal["smoke", "demo", "cpu", "gpu"]

SCALES: dict[str, str] = {
    "smoke": "seconds, for tests",
    "demo": "a minute, on the embedded shapes",
    "cpu": "minutes to an hour on two cores",
    "gpu": "minutes to hours on one accelerator",
}


@dataclass(frozen=True)
class Recipe:
    """A stage and what to expect of it."""

    stage: Stage
    """Its settings."""
    cost: str
    """What it costs."""
    result: str
    """What it reaches."""
    purifier: bool = False
    """Whether it needs the weights of a purifier."""
    classifier: bool = False
    """Whether it needs the weights of a classifier to start from."""


_PLAIN = Augment(cutout=0)
"""Short trainings of small models underfit: cutout costs them accuracy."""

_TINY_PURIFIER = PurifierConfig(latent_channels=64, width=16, blocks=1)
_NFGSM = AdversaryConfig("nfgsm")


def _purifier(config: PurifierConfig, epochs: float, batch: int, ema: float) -> PurifierStage:
    optim = OptimConfig(
        epochs=epochs,
        batch_size=batch,
        optimizer="adamw",
        lr=2e-3,
        weight_decay=0.0,
        clip=1.0,
        ema=ema,
    )
    return PurifierStage(purifier=config, rate=RateConfig(), optim=optim)


def _classifier(
    size: Literal["tiny", "lite", "base"],
    adversary: AdversaryConfig,
    epochs: float,
    lr: float,
    batch: int = 128,
    ema: float = 0.998,
) -> ClassifierStage:
    optim = OptimConfig(epochs=epochs, lr=lr, batch_size=batch, ema=ema)
    return ClassifierStage(
        classifier=ClassifierConfig(size), adversary=adversary, optim=optim, augment=_PLAIN
    )


def _joint(
    size: Literal["tiny", "lite", "base"], epochs: float, batch: int, ema: float
) -> JointStage:
    optim = OptimConfig(
        epochs=epochs,
        batch_size=batch,
        optimizer="adamw",
        lr=1e-3,
        weight_decay=0.0,
        clip=1.0,
        ema=ema,
    )
    return JointStage(
        classifier=ClassifierConfig(size), adversary=_NFGSM, optim=optim, augment=_PLAIN
    )


RECIPES: dict[str, dict[str, Recipe]] = {
    "purifier": {
        "smoke": Recipe(_purifier(replace(_TINY_PURIFIER, width=8), 1.0, 64, 0.9), "", ""),
        "demo": Recipe(_purifier(_TINY_PURIFIER, 4.0, 64, 0.98), "", ""),
        "cpu": Recipe(_purifier(PurifierConfig(), 1.5, 128, 0.98), "", ""),
        "gpu": Recipe(_purifier(PurifierConfig(width=96, blocks=4), 30.0, 256, 0.998), "", ""),
    },
    "standard": {
        "smoke": Recipe(_classifier("tiny", AdversaryConfig(), 1.0, 0.2, 64, 0.9), "", ""),
        "demo": Recipe(_classifier("tiny", AdversaryConfig(), 6.0, 0.2, 64, 0.98), "", ""),
        "cpu": Recipe(_classifier("lite", AdversaryConfig(), 6.0, 0.2), "", ""),
        "gpu": Recipe(_classifier("base", AdversaryConfig(), 60.0, 0.2), "", ""),
    },
    "adversarial": {
        "smoke": Recipe(_classifier("tiny", _NFGSM, 1.0, 0.2, 64, 0.9), "", ""),
        "demo": Recipe(_classifier("tiny", _NFGSM, 8.0, 0.2, 64, 0.98), "", ""),
        "cpu": Recipe(_classifier("lite", _NFGSM, 10.0, 0.2), "", ""),
        "gpu": Recipe(_classifier("base", AdversaryConfig("pgd", steps=10), 80.0, 0.1), "", ""),
    },
    "standard-purified": {
        "smoke": Recipe(_classifier("tiny", AdversaryConfig(), 0.5, 0.02, 64, 0.9), "", ""),
        "demo": Recipe(_classifier("tiny", AdversaryConfig(), 1.0, 0.02, 64, 0.9), "", ""),
        "cpu": Recipe(_classifier("lite", AdversaryConfig(), 0.3, 0.02, ema=0.9), "", ""),
        "gpu": Recipe(_classifier("base", AdversaryConfig(), 5.0, 0.02), "", ""),
    },
    "adversarial-purified": {
        "smoke": Recipe(_classifier("tiny", _NFGSM, 0.5, 0.05, 64, 0.9), "", ""),
        "demo": Recipe(_classifier("tiny", _NFGSM, 2.0, 0.05, 64, 0.98), "", ""),
        "cpu": Recipe(_classifier("lite", _NFGSM, 1.0, 0.05, ema=0.98), "", ""),
        "gpu": Recipe(_classifier("base", AdversaryConfig("pgd", steps=10), 20.0, 0.02), "", ""),
    },
    "joint": {
        "smoke": Recipe(_joint("tiny", 0.5, 64, 0.9), "", ""),
        "demo": Recipe(_joint("tiny", 2.0, 64, 0.98), "", ""),
        "cpu": Recipe(_joint("lite", 1.0, 128, 0.98), "", ""),
        "gpu": Recipe(_joint("base", 20.0, 128, 0.998), "", ""),
    },
}
"""Name to scale to recipe."""


def recipe(name: str, scale: str) -> Recipe:
    """The recipe ``name`` at ``scale``.

    Raises:
        UnknownNameError: no such recipe or scale.
    """
    return choose(choose(RECIPES, name, "recipe"), scale, "scale")

"""Named recipes: a stage's settings at each scale, with the cost and the result to expect.

``smoke`` takes seconds and teaches little (tests); ``demo`` takes a minute on the embedded shapes;
``cpu`` is for two cores, ``gpu`` for one accelerator. Costs of ``demo`` and ``cpu`` were measured
on an AMD EPYC (Zen 4) core, which multiplies bfloat16; two cores take about half the time, and
without bfloat16 it takes twice as long. Robust accuracies are for PGD-7, Linf 8/255.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from alp.config import (
    ClassifierConfig,
    DiffusionConfig,
    LatentsConfig,
    OptimConfig,
    PurifierConfig,
    RateConfig,
)
from alp.data.augment import Augment
from alp.errors import choose
from alp.training.stages import (
    AdversaryConfig,
    CertifiedStage,
    ClassifierStage,
    DenoiserStage,
    DiffusionStage,
    DistilledStage,
    EnsembleStage,
    GuardStage,
    HGDStage,
    JointStage,
    MagNetStage,
    PurifierStage,
    Stage,
    UnifiedStage,
)

S = TypeVar("S", bound=Stage)

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
    """Whether it needs the weights of a classifier, to start from or to stand before."""
    start: str = ""
    """The packaged classifier that it starts from where no other weights are given."""


_PLAIN = Augment(cutout=0)
"""Short trainings of small models underfit: cutout costs them accuracy."""

_TINY_PURIFIER = PurifierConfig(latent_channels=64, width=16, blocks=1)
_CLEAN = AdversaryConfig()
_NFGSM = AdversaryConfig("nfgsm")
_PGD = AdversaryConfig("pgd", steps=10)

_BOTH = (True, True)
"""Needs the weights of a purifier and of a classifier."""


def _adamw(epochs: float, batch: int, lr: float, ema: float) -> OptimConfig:
    """What trains purifiers, denoisers, and classifiers together with them."""
    return OptimConfig(
        epochs=epochs,
        batch_size=batch,
        optimizer="adamw",
        lr=lr,
        weight_decay=0.0,
        clip=1.0,
        ema=ema,
    )


def _purifier(config: PurifierConfig, epochs: float, batch: int, ema: float) -> PurifierStage:
    optim = _adamw(epochs, batch, 2e-3, ema)
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
    size: Literal["tiny", "lite", "base"], epochs: float, batch: int, ema: float, lr: float = 1e-3
) -> JointStage:
    optim = _adamw(epochs, batch, lr, ema)
    return JointStage(
        classifier=ClassifierConfig(size), adversary=_NFGSM, optim=optim, augment=_PLAIN
    )


def _certified(
    size: Literal["tiny", "lite", "base"], epochs: float, batch: int, ema: float
) -> CertifiedStage:
    optim = OptimConfig(epochs=epochs, batch_size=batch, lr=0.1, ema=ema)
    return CertifiedStage(classifier=ClassifierConfig(size), optim=optim)


def _guard(
    config: PurifierConfig, adversary: AdversaryConfig, epochs: float, batch: int, ema: float
) -> GuardStage:
    optim = _adamw(epochs, batch, 1e-3, ema)
    return GuardStage(purifier=config, adversary=adversary, optim=optim, augment=_PLAIN)


def _denoiser(config: PurifierConfig, epochs: float, batch: int, ema: float) -> DenoiserStage:
    optim = _adamw(epochs, batch, 1e-3, ema)
    return DenoiserStage(purifier=config, optim=optim, augment=_PLAIN)


def _diffusion(width: int, epochs: float, batch: int, lr: float, ema: float) -> DiffusionStage:
    optim = replace(_adamw(epochs, batch, lr, ema), warmup=0.05)
    return DiffusionStage(diffusion=DiffusionConfig(width=width), optim=optim)


def _magnet(epochs: float, batch: int, ema: float) -> MagNetStage:
    optim = OptimConfig(
        epochs=epochs, batch_size=batch, optimizer="adamw", lr=1e-2, weight_decay=0.0, ema=ema
    )
    return MagNetStage(optim=optim)


def _hgd(width: int, epochs: float, batch: int, ema: float) -> HGDStage:
    optim = _adamw(epochs, batch, 1e-3, ema)
    return HGDStage(width=width, optim=optim)


def _ensemble(
    size: Literal["tiny", "lite", "base"], epochs: float, batch: int, ema: float
) -> EnsembleStage:
    optim = OptimConfig(epochs=epochs, batch_size=batch, lr=0.2, ema=ema)
    return EnsembleStage(classifier=ClassifierConfig(size), optim=optim)


def _distilled(
    size: Literal["tiny", "lite", "base"], epochs: float, batch: int, ema: float
) -> DistilledStage:
    optim = replace(_adamw(epochs, batch, 2e-3, ema), weight_decay=0.01, clip=0.0)
    return DistilledStage(classifier=ClassifierConfig(size), optim=optim)


def _unified(width: int, epochs: float, batch: int, ema: float) -> UnifiedStage:
    optim = replace(_adamw(epochs, batch, 1e-3, ema), warmup=0.05)
    return UnifiedStage(latents=LatentsConfig(width=width), optim=optim)


_SMOKE = ("seconds", "teaches little: for tests")
_UNMEASURED = ("not measured yet", "not measured yet")

RECIPES: dict[str, dict[str, Recipe]] = {
    "purifier": {
        "smoke": Recipe(_purifier(replace(_TINY_PURIFIER, width=8), 1.0, 64, 0.9), *_SMOKE),
        "demo": Recipe(
            _purifier(_TINY_PURIFIER, 4.0, 64, 0.98), "half a core-minute", "26.4 dB, sigma 0.81"
        ),
        "cpu": Recipe(
            _purifier(PurifierConfig(), 2.5, 128, 0.98),
            "8 core-minutes",
            "26.4 dB, sigma 0.65",
        ),
        "gpu": Recipe(
            _purifier(PurifierConfig(width=96, blocks=4), 30.0, 256, 0.998), *_UNMEASURED
        ),
    },
    "standard": {
        "smoke": Recipe(_classifier("tiny", _CLEAN, 1.0, 0.2, 64, 0.9), *_SMOKE),
        "demo": Recipe(
            _classifier("tiny", _CLEAN, 8.0, 0.1, 64, 0.98),
            "1 core-minute",
            "98.6 % clean, 0.0 % robust",
        ),
        "cpu": Recipe(
            _classifier("lite", _CLEAN, 4.0, 0.2),
            "5 core-minutes",
            "79.3 % clean, 0.0 % robust",
        ),
        "gpu": Recipe(_classifier("base", _CLEAN, 60.0, 0.2), *_UNMEASURED),
    },
    "adversarial": {
        "smoke": Recipe(_classifier("tiny", _NFGSM, 1.0, 0.2, 64, 0.9), *_SMOKE),
        "demo": Recipe(
            _classifier("tiny", _NFGSM, 8.0, 0.2, 64, 0.98),
            "1 core-minute",
            "67.4 % clean, 35.8 % robust",
        ),
        "cpu": Recipe(
            _classifier("lite", _NFGSM, 20.0, 0.2),
            "34 core-minutes",
            "71.6 % clean, 45.5 % robust",
        ),
        "gpu": Recipe(_classifier("base", _PGD, 80.0, 0.1), *_UNMEASURED),
    },
    "standard-purified": {
        "smoke": Recipe(_classifier("tiny", _CLEAN, 0.5, 0.02, 64, 0.9), *_SMOKE, *_BOTH),
        "demo": Recipe(
            _classifier("tiny", _CLEAN, 1.0, 0.02, 64, 0.9),
            "6 core-seconds",
            "92.6 % clean, 4.8 % robust (single)",
            *_BOTH,
        ),
        "cpu": Recipe(
            _classifier("lite", _CLEAN, 0.3, 0.02, ema=0.9),
            "1 core-minute",
            "74.1 % clean, 7.9 % robust (single)",
            *_BOTH,
        ),
        "gpu": Recipe(_classifier("base", _CLEAN, 5.0, 0.02), *_UNMEASURED, *_BOTH),
    },
    "adversarial-purified": {
        "smoke": Recipe(_classifier("tiny", _NFGSM, 0.5, 0.05, 64, 0.9), *_SMOKE, *_BOTH),
        "demo": Recipe(
            _classifier("tiny", _NFGSM, 2.0, 0.05, 64, 0.98),
            "24 core-seconds",
            "74.7 % clean, 37.2 % robust (single)",
            *_BOTH,
        ),
        "cpu": Recipe(
            _classifier("lite", _NFGSM, 0.6, 0.05, ema=0.98),
            "2 core-minutes",
            "70.0 % clean, 44.5 % robust (single)",
            *_BOTH,
        ),
        "gpu": Recipe(_classifier("base", _PGD, 20.0, 0.02), *_UNMEASURED, *_BOTH),
    },
    "joint": {
        "smoke": Recipe(_joint("tiny", 0.5, 64, 0.9), *_SMOKE, *_BOTH),
        "demo": Recipe(
            _joint("tiny", 2.0, 64, 0.98),
            "44 core-seconds",
            "70.8 % clean, 43.6 % robust (single)",
            *_BOTH,
        ),
        "cpu": Recipe(
            _joint("lite", 2.0, 128, 0.995, 5e-4),
            "28 core-minutes",
            "69.9 % clean, 46.3 % robust (single)",
            *_BOTH,
        ),
        "gpu": Recipe(_joint("base", 20.0, 128, 0.998), *_UNMEASURED, *_BOTH),
    },
    "certified": {
        "smoke": Recipe(_certified("tiny", 1.0, 64, 0.9), *_SMOKE),
        "demo": Recipe(_certified("tiny", 8.0, 64, 0.98), *_UNMEASURED),
        "cpu": Recipe(
            _certified("lite", 16.0, 128, 0.998),
            "70 core-minutes",
            "73.5, 64.4, 54.6 % certified at 0, 0.25, 0.5",
            start="cifar10-lite/adversarial",
        ),
        "gpu": Recipe(_certified("base", 90.0, 128, 0.998), *_UNMEASURED),
    },
    "guard": {
        "smoke": Recipe(
            _guard(replace(_TINY_PURIFIER, width=8), _NFGSM, 1.0, 64, 0.9), *_SMOKE, classifier=True
        ),
        "demo": Recipe(
            _guard(_TINY_PURIFIER, _NFGSM, 8.0, 64, 0.98), *_UNMEASURED, classifier=True
        ),
        # One noisy step reaches beyond its radius: 7/255 trains for 8/255, and costs less on clean
        # images.
        "cpu": Recipe(
            replace(
                _guard(PurifierConfig(), replace(_NFGSM, eps=7 / 255), 16.0, 128, 0.995),
                curriculum=0.3,
            ),
            "140 core-minutes",
            "61.7 % clean, 29.5 % robust from the packaged purifier",
            classifier=True,
        ),
        "gpu": Recipe(
            _guard(PurifierConfig(width=96, blocks=4), _PGD, 60.0, 128, 0.998),
            *_UNMEASURED,
            classifier=True,
        ),
    },
    "denoiser": {
        "smoke": Recipe(
            _denoiser(replace(_TINY_PURIFIER, width=8), 1.0, 64, 0.9), *_SMOKE, classifier=True
        ),
        "demo": Recipe(_denoiser(_TINY_PURIFIER, 8.0, 64, 0.98), *_UNMEASURED, classifier=True),
        "cpu": Recipe(
            _denoiser(PurifierConfig(), 4.0, 128, 0.995),
            "17 core-minutes",
            "63.0, 49.7, 41.0 % certified at 0, 0.25, 0.5 before AT",
            classifier=True,
        ),
        "gpu": Recipe(
            _denoiser(PurifierConfig(width=96), 60.0, 128, 0.998), *_UNMEASURED, classifier=True
        ),
    },
    "diffusion": {
        "smoke": Recipe(_diffusion(8, 1.0, 64, 1e-3, 0.9), *_SMOKE),
        "demo": Recipe(_diffusion(16, 4.0, 64, 1e-3, 0.99), *_UNMEASURED),
        "cpu": Recipe(
            _diffusion(48, 18.0, 64, 1e-3, 0.999),
            "90 core-minutes",
            "noise of 0.169 denoised in one step to 26.3 dB",
        ),
        "gpu": Recipe(_diffusion(128, 200.0, 128, 5e-4, 0.9999), *_UNMEASURED),
    },
    "magnet": {
        "smoke": Recipe(_magnet(1.0, 64, 0.9), *_SMOKE, classifier=True),
        "demo": Recipe(_magnet(8.0, 64, 0.98), *_UNMEASURED, classifier=True),
        "cpu": Recipe(
            _magnet(10.0, 256, 0.99),
            "1 to 3 core-minutes",
            "68.4 % clean, 0.0 % in the worst case",
            classifier=True,
        ),
        "gpu": Recipe(_magnet(400.0, 256, 0.999), *_UNMEASURED, classifier=True),
    },
    "hgd": {
        "smoke": Recipe(_hgd(8, 1.0, 64, 0.9), *_SMOKE, classifier=True),
        "demo": Recipe(_hgd(16, 4.0, 64, 0.98), *_UNMEASURED, classifier=True),
        "cpu": Recipe(
            _hgd(48, 6.0, 128, 0.99),
            "20 core-minutes",
            "70.3 % clean, 58.2 % oblivious, 0.0 % in the worst case",
            classifier=True,
        ),
        "gpu": Recipe(_hgd(96, 20.0, 128, 0.999), *_UNMEASURED, classifier=True),
    },
    "ensemble-adversarial": {
        "smoke": Recipe(_ensemble("tiny", 1.0, 64, 0.9), *_SMOKE),
        "demo": Recipe(_ensemble("tiny", 8.0, 64, 0.98), *_UNMEASURED),
        "cpu": Recipe(
            _ensemble("lite", 4.0, 128, 0.998),
            "11 core-minutes",
            "66.4 % clean, 18.0 % in the worst case",
        ),
        "gpu": Recipe(_ensemble("base", 60.0, 128, 0.998), *_UNMEASURED),
    },
    "distilled": {
        "smoke": Recipe(_distilled("tiny", 1.0, 64, 0.9), *_SMOKE),
        "demo": Recipe(_distilled("tiny", 8.0, 64, 0.98), *_UNMEASURED),
        "cpu": Recipe(
            _distilled("lite", 4.0, 128, 0.998),
            "4 core-minutes for the teacher, 8 for its pupil",
            "67.6 % clean, 0.0 % in the worst case",
        ),
        "gpu": Recipe(_distilled("base", 60.0, 128, 0.998), *_UNMEASURED),
    },
    "unified": {
        "smoke": Recipe(_unified(8, 1.0, 64, 0.9), *_SMOKE),
        "demo": Recipe(_unified(16, 4.0, 64, 0.99), *_UNMEASURED),
        "cpu": Recipe(
            _unified(32, 4.0, 64, 0.998),
            "13 core-minutes",
            "22.0 dB by 4 steps, 36.3 % clean before a classifier that stays as it is",
        ),
        "gpu": Recipe(_unified(128, 200.0, 128, 0.9999), *_UNMEASURED),
    },
}
"""Name to scale to recipe. The *-purified ones and joint fine-tune given weights."""


def stage_of(name: str, scale: str, kind: type[S]) -> S:
    """The settings of a recipe whose stage is a ``kind``."""
    stage = recipe(name, scale).stage
    assert isinstance(stage, kind)
    return stage


def recipe(name: str, scale: str) -> Recipe:
    """The recipe ``name`` at ``scale``.

    Raises:
        UnknownNameError: no such recipe or scale.
    """
    return choose(choose(RECIPES, name, "recipe"), scale, "scale")

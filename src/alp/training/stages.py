"""The settings of the training stages. Imports nothing heavy: the flags are made from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, Self

from alp.config import (
    ADDED,
    MOST_CHANNELS,
    ClassifierConfig,
    DiffusionConfig,
    LatentsConfig,
    OptimConfig,
    PurifierConfig,
    RateConfig,
    check_types,
    positive,
    within,
)
from alp.data.augment import Augment
from alp.errors import ConfigError

Adversary = Literal["none", "nfgsm", "pgd", "trades"]


class StageBase:
    """What a stage says of itself beside its settings."""

    needs: ClassVar[frozenset[str]] = frozenset()
    """What has to be given: ``purifier`` or ``classifier``, which are weights, or ``validation``,
    images that are not trained on."""
    takes: ClassVar[frozenset[str]] = frozenset()
    """What else may be given; beside those ``others``, further classifiers, and ``new_head``."""
    trains_classifier: ClassVar[bool] = False

    def for_classes(self, count: int) -> Self:
        """The stage for images of ``count`` classes; itself where it trains no classifier."""
        return self


def _adamw() -> OptimConfig:
    """What fine-tunes a purifier."""
    return OptimConfig(optimizer="adamw", lr=1e-3, weight_decay=0.0, clip=1.0)


@dataclass(frozen=True)
class HeadStage(StageBase):
    """A stage that trains a classifier."""

    takes = frozenset({"classifier", "new_head"})
    trains_classifier = True

    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    """The architecture; that of the weights to start from, where there are some, wins."""

    def for_classes(self, count: int) -> Self:
        return replace(self, classifier=replace(self.classifier, classes=count))


@dataclass(frozen=True)
class PurifierStage(StageBase):
    """Train encoder, noise level and decoder on clean images."""

    takes = frozenset({"purifier"})

    purifier: PurifierConfig = field(default_factory=PurifierConfig)
    """The architecture."""
    rate: RateConfig = field(default_factory=RateConfig)
    """The rate-distortion objective."""
    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(
            epochs=3, optimizer="adamw", lr=2e-3, weight_decay=0.0, clip=1.0
        )
    )
    """Optimiser and length."""
    augment: Augment = field(default_factory=lambda: Augment(shift=0, cutout=0))
    """Changes made to every training image."""

    def __post_init__(self) -> None:
        check_types(self)
        if self.purifier.sigma == 0 and self.rate.objective != "mse":
            raise ConfigError(
                f"PurifierConfig.sigma is 0.0, whose rate is infinite, and RateConfig.objective is "
                f"{self.rate.objective!r}; give the objective 'mse'"
            )


@dataclass(frozen=True)
class AdversaryConfig:
    """Whose images a classifier is trained on."""

    method: Adversary = "none"
    """none: clean images; nfgsm (de Jorge et al. 2022): one noisy step; pgd (Madry et al. 2018);
    trades (Zhang et al. 2019): clean images, and agreement of the attacked with the clean ones."""
    norm: Literal["linf", "l2"] = "linf"
    """The norm of the threat."""
    eps: float = 8 / 255
    """The radius of the threat, on images in [0,1]."""
    steps: int = 7
    """Gradient steps of an attack by pgd and trades, of eps / 4 each."""
    beta: float = 6.0
    """Weight of the agreement beside the clean loss (trades)."""

    def __post_init__(self) -> None:
        check_types(self)
        positive(self, "eps", "steps", "beta")


@dataclass(frozen=True)
class ClassifierStage(HeadStage):
    """Train a classifier, on raw images or, where a purifier is given, on purified ones."""

    takes = HeadStage.takes | {"purifier"}

    adversary: AdversaryConfig = field(default_factory=AdversaryConfig)
    """Standard or adversarial training."""
    draws: int = 1
    """Draws of the noise whose logits are averaged in each step."""
    input_noise: float = 0.0
    """Standard deviation of Gaussian noise on the pixels, instead of a purifier's on the latent."""
    label_smoothing: float = 0.0
    """Probability mass shared out over all classes."""
    agreement: float = 0.0
    """Weight of the divergence between the predictions on clean and on attacked images; trades
    has its own, beta."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """Optimiser and length."""
    augment: Augment = field(default_factory=Augment)
    """Changes made to every training image."""

    def __post_init__(self) -> None:
        check_types(self)
        positive(self, "draws")
        within(self, 0.0, 1.0, "label_smoothing")
        within(self, 0.0, math.inf, "agreement", "input_noise")


@dataclass(frozen=True)
class JointStage(ClassifierStage):
    """Fine-tune purifier and classifier together, end to end.

    Loss: cross-entropy of the attacked images + ``agreement`` * KL(clean || attacked)
    + ``reconstruction`` * mean squared error of the clean images + ``rate`` * nats a pixel value.
    """

    needs = frozenset({"purifier"})

    optim: OptimConfig = field(default_factory=_adamw)
    """Optimiser and length."""
    agreement: float = 1.0
    """Weight of the divergence between the predictions on clean and on attacked images; trades
    has its own, beta."""
    reconstruction: float = 30.0
    """Weight of the mean squared error: 0.0024, 26.2 dB, counts 0.072."""
    rate: float = 0.002
    """Weight of the rate, in nats for each pixel value."""

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 0.0, math.inf, "reconstruction", "rate")


@dataclass(frozen=True)
class CertifiedStage(HeadStage):
    """Train a classifier whose hard votes under Gaussian noise can be certified (certified.py)."""

    sigma: float = 0.25
    """Standard deviation of the noise on the pixels, on images in [0,1]."""
    copies: int = 2
    """Noisy copies of each image in a step."""
    consistency: float = 15.0
    """Weight of the divergence of the copies' predictions from their mean."""
    entropy: float = 0.5
    """Weight of the entropy of the mean prediction."""
    adversary: AdversaryConfig = field(default=AdversaryConfig(), metadata=ADDED)
    """Whose images the noise is added to: none, or those of nfgsm or pgd, which attack the
    classifier under noise (SmoothAdv)."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """Optimiser and length."""
    augment: Augment = field(default_factory=lambda: Augment(cutout=0))
    """Changes made to every training image."""

    def __post_init__(self) -> None:
        check_types(self)
        positive(self, "sigma", "copies")
        within(self, 0.0, math.inf, "consistency", "entropy")
        if self.adversary.method == "trades":
            raise ConfigError(
                "adversary.method is 'trades'; a classifier for certificates is trained on images "
                "of 'none', 'nfgsm' or 'pgd', and its consistency is the agreement"
            )


@dataclass(frozen=True)
class FrontStage(StageBase):
    """A stage that trains a purifier before classifiers that stay as they are."""

    needs = frozenset({"classifier"})
    takes = frozenset({"purifier", "others"})

    purifier: PurifierConfig = field(default_factory=PurifierConfig)
    """The architecture; that of the weights to start from, where there are some, wins."""


@dataclass(frozen=True)
class GuardStage(FrontStage):
    """Train a purifier adversarially through frozen classifiers (guard.py).

    Loss: cross-entropy of the attacked images + ``agreement`` * KL(clean || attacked)
    + ``reconstruction`` * mean squared error of the clean images.
    """

    sigma: float = 0.1
    """The noise level on the latent, which stays as it is; 0 for none."""
    adversary: AdversaryConfig = field(default_factory=lambda: AdversaryConfig("nfgsm"))
    """Whose images it is trained on: nfgsm or pgd."""
    curriculum: float = 0.6
    """Share of the steps over which the radius of the threat grows to eps."""
    agreement: float = 0.0
    """Weight of the divergence between the predictions on clean and on attacked images."""
    reconstruction: float = 0.0
    """Weight of the mean squared error of purified clean images."""
    optim: OptimConfig = field(default_factory=_adamw)
    """Optimiser and length."""
    augment: Augment = field(default_factory=lambda: Augment(cutout=0))
    """Changes made to every training image."""

    def __post_init__(self) -> None:
        check_types(self)
        within(self, 0.0, math.inf, "sigma", "agreement", "reconstruction")
        within(self, 0.0, 1.0, "curriculum")
        if self.adversary.method not in ("nfgsm", "pgd"):
            raise ConfigError(
                f"adversary.method is {self.adversary.method!r}; a guard is trained by 'nfgsm' or "
                "'pgd' (a weight of agreement makes it like trades)"
            )


@dataclass(frozen=True)
class DenoiserStage(FrontStage):
    """Train a purifier, without noise on its latent, to remove Gaussian noise on the pixels before
    frozen classifiers (denoiser.py).

    Loss: cross-entropy of the denoised images, by what the classifiers say of the clean ones
    + ``reconstruction`` * mean squared error.
    """

    sigma: float = 0.25
    """Standard deviation of the noise on the pixels, on images in [0,1]."""
    reconstruction: float = 0.0
    """Weight of the mean squared error of denoised images."""
    optim: OptimConfig = field(default_factory=_adamw)
    """Optimiser and length."""
    augment: Augment = field(default_factory=lambda: Augment(cutout=0))
    """Changes made to every training image."""

    def __post_init__(self) -> None:
        check_types(self)
        positive(self, "sigma")
        within(self, 0.0, math.inf, "reconstruction")


@dataclass(frozen=True)
class DiffusionStage(StageBase):
    """Train a diffusion model of low noise on clean images (diffusion.py)."""

    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    """The architecture, and the noise it is trained for."""
    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(optimizer="adamw", weight_decay=0.0, clip=1.0)
    )
    """Optimiser and length."""
    augment: Augment = field(default_factory=lambda: Augment(shift=0, cutout=0))
    """Changes made to every training image."""

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True)
class MagNetStage(StageBase):
    """Train the autoencoder of MagNet before a classifier that stays as it is, and choose the
    thresholds of its detectors on the validation split (magnet.py)."""

    needs = frozenset({"classifier", "validation"})

    channels: int = 3
    """Channels of the two hidden layers."""
    noise: float = 0.025
    """Standard deviation of the noise on the pixels, on images in [0,1]."""
    drop_rate: float = 0.005
    """Share of clean validation images that each of the three detectors rejects."""
    detect: bool = True
    """Whether images are rejected; without it the reformer stands alone."""
    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(optimizer="adamw", lr=1e-2, weight_decay=0.0)
    )
    """Optimiser and length."""
    augment: Augment = field(default_factory=lambda: Augment(shift=0, cutout=0))
    """Changes made to every training image."""

    def __post_init__(self) -> None:
        check_types(self)
        within(self, 1, MOST_CHANNELS, "channels")
        within(self, 0.0, math.inf, "noise")
        within(self, 0.0, 1.0, "drop_rate")


@dataclass(frozen=True)
class HGDStage(StageBase):
    """Train the denoiser of HGD before a classifier that stays as it is, on attacked images of that
    classifier and of further source models (hgd.py)."""

    needs = frozenset({"classifier"})
    takes = frozenset({"others"})

    width: int = 48
    """Channels of the denoiser at half the resolution."""
    eps: float = 16 / 255
    """Largest radius (Linf) of the attacks, on images in [0,1]; each step draws its own."""
    steps: int = 4
    """Most steps of the attacks; each step draws its own number, and one is FGSM."""
    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(optimizer="adamw", lr=1e-3, weight_decay=0.0)
    )
    """Optimiser and length."""
    augment: Augment = field(default_factory=lambda: Augment(shift=0, cutout=0))
    """Changes made to every training image."""

    def __post_init__(self) -> None:
        check_types(self)
        within(self, 1, MOST_CHANNELS, "width")
        positive(self, "eps", "steps")


@dataclass(frozen=True)
class EnsembleStage(HeadStage):
    """Train a classifier on clean images and on images attacked through further classifiers and
    through itself (ensemble.py)."""

    takes = HeadStage.takes | {"others"}

    eps: float = 8 / 255
    """Radius (Linf) of the attack, FGSM, on images in [0,1]."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """Optimiser and length."""
    augment: Augment = field(default_factory=lambda: Augment(cutout=0))
    """Changes made to every training image."""

    def __post_init__(self) -> None:
        check_types(self)
        positive(self, "eps")


@dataclass(frozen=True)
class DistilledStage(StageBase):
    """Train a new classifier at a high temperature, by the labels or, where a classifier is given,
    by what that says at the same temperature (distilled.py)."""

    takes = frozenset({"classifier"})
    trains_classifier = True

    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    """The architecture."""
    temperature: float = 20.0
    """What the logits are divided by in training; 1 in use."""
    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(optimizer="adamw", lr=2e-3, weight_decay=0.01)
    )
    """Optimiser and length; AdamW, since a high temperature scales the gradient."""
    augment: Augment = field(default_factory=lambda: Augment(cutout=0))
    """Changes made to every training image."""

    def __post_init__(self) -> None:
        check_types(self)
        positive(self, "temperature")

    def for_classes(self, count: int) -> Self:
        return replace(self, classifier=replace(self.classifier, classes=count))


@dataclass(frozen=True)
class UnifiedStage(StageBase):
    """Train encoder, prior and decoder of unified latents on clean images (unified.py)."""

    latents: LatentsConfig = field(default_factory=LatentsConfig)
    """The architecture, and the noise on the latent."""
    factor: float = 1.5
    """Weight of the decoder's loss beside the rate."""
    bias: float = 4.0
    """Log-SNR of images from which on finer levels count less and less in the decoder's loss. Of a
    level l a nat in the latent pays while factor * sigmoid(bias - l) is above 1: at 0 it does for
    the coarsest levels only, and the latent stays empty."""
    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(optimizer="adamw", weight_decay=0.0, clip=1.0)
    )
    """Optimiser and length."""
    augment: Augment = field(default_factory=lambda: Augment(shift=0, cutout=0))
    """Changes made to every training image."""

    def __post_init__(self) -> None:
        check_types(self)
        positive(self, "factor")


Stage = (
    PurifierStage
    | ClassifierStage
    | JointStage
    | CertifiedStage
    | GuardStage
    | DenoiserStage
    | DiffusionStage
    | MagNetStage
    | HGDStage
    | EnsembleStage
    | DistilledStage
    | UnifiedStage
)

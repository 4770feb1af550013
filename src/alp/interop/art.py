"""A purifier inside the Adversarial Robustness Toolbox: ``ArtPurifier`` before its classifiers.

    classifier = PyTorchClassifier(model, ..., preprocessing_defences=[ArtPurifier(purifier)])

ART's white-box attacks then go through the purifier, one fresh draw a step. ART judges a point on
one draw; the deployed mean over draws is that of an :class:`alp.Defended` given as the model.
"""

from __future__ import annotations

from typing import Any, cast, final

from art.defences.preprocessor.preprocessor import PreprocessorPyTorch
from torch import Tensor

from alp import seeding
from alp.defences import Defended, Purifier
from alp.defences.base import Defence, PurifierBase
from alp.errors import ConfigError


@final
class ArtPurifier(PreprocessorPyTorch):  # type: ignore[misc]
    """ART's ``PreprocessorPyTorch`` (1.20): images (B,3,H,W) in [0,1] to one purified draw, with
    its exact gradient, or the surrogate's that a defence declares."""

    params = ("purifier",)

    def __init__(
        self,
        purifier: PurifierBase | Defence,
        source: seeding.Source | None = None,
        *,
        apply_fit: bool = False,
        apply_predict: bool = True,
    ) -> None:
        """A purifier, or a defence whose purified draw is taken.

        Args:
            source: generator of the noise; without it the operating system seeds the noise.
            apply_fit: whether ART's training sees purified images.
            apply_predict: whether its predictions and attacks do.

        Raises:
            ConfigError: it purifies nothing.
        """
        if isinstance(purifier, Defended):
            raise ConfigError("a defended model has a classifier too; give its purifier")
        purifies = isinstance(purifier, Defence) and "purify" in purifier.capabilities
        if not purifies and not isinstance(purifier, PurifierBase):
            raise ConfigError(
                f"a {type(purifier).__name__} purifies nothing; give a purifier, such as "
                "alp.load('cifar10-lite/purifier')"
            )
        device = next(purifier.parameters()).device
        super().__init__(
            device_type="cpu" if device.type == "cpu" else "gpu",
            is_fitted=True,
            apply_fit=apply_fit,
            apply_predict=apply_predict,
        )
        self.purifier = purifier
        self.source = source

    def forward(self, x: Tensor, y: Any | None = None) -> tuple[Tensor, Any | None]:
        """One purified draw of ``x``, and ``y`` as it is."""
        noise = seeding.entropy(x.device) if self.source is None else self.source
        if isinstance(self.purifier, Defence):
            return self.purifier.purify(x, noise), y
        if isinstance(self.purifier, Purifier):
            # A stop-gradient in the purifier's code does not bind who holds its weights.
            return cast(Tensor, self.purifier(x, noise, stop_gradient=False)), y
        return cast(Tensor, self.purifier(x, noise)), y

"""A purifier inside the Adversarial Robustness Toolbox: ``ArtPurifier`` before its classifiers.

    classifier = PyTorchClassifier(model, ..., preprocessing_defences=[ArtPurifier(purifier)])

ART's white-box attacks then go through the purifier, one fresh draw a step. ART judges a point on
one draw; the deployed mean over draws is that of an :class:`alp.Defended` given as the model.
"""

from __future__ import annotations

from typing import Any, final

from art.defences.preprocessor.preprocessor import PreprocessorPyTorch
from torch import Tensor

from alp import seeding
from alp.defences.base import Model
from alp.defences.packaged import is_model
from alp.errors import ConfigError


@final
class ArtPurifier(PreprocessorPyTorch):  # type: ignore[misc]
    """ART's ``PreprocessorPyTorch`` (1.20): images (B,3,H,W) in [0,1] to one purified draw, with
    its exact gradient, or the surrogate's that a defence declares."""

    params = ("purifier",)

    def __init__(
        self,
        purifier: Model,
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
        if not is_model(purifier) or "purify" not in purifier.capabilities:
            raise ConfigError(
                f"a {type(purifier).__name__} purifies nothing; give a purifier, such as "
                "alp.load('cifar10-lite/purifier')"
            )
        if "purifier" in purifier.parts():
            raise ConfigError("a defended model has a classifier too; give its purifier")
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
        return self.purifier.purify(x, noise), y

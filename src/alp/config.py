"""The settings of every stage as frozen dataclasses, to and from JSON.

This module imports nothing heavy: the command line makes its help and its flags from it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import sys
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from alp.errors import ConfigError

T = TypeVar("T")

MOST_CHANNELS = 4096
"""Largest width of a network; a file that asks for more is none that anybody trained."""

MOST_BLOCKS = 256
"""Largest number of residual blocks at a resolution."""

MOST_CLASSES = 100_000
"""Largest number of classes; ImageNet-21k has 21,841."""


MOST_PIXELS = 8192
"""Largest height and width of an image."""


ADDED = {"added": True}
"""Metadata of a field that came after the first records: with its default the settings are what
they were before, so that trainings and weights files of before are found again."""


@dataclass(frozen=True)
class PurifierConfig:
    """The Asymmetric Latent Purifier: encoder, learned Gaussian noise, decoder."""

    latent_channels: int = 64
    """Channels of the latent, at a quarter of the image's height and width, or at an eighth."""
    width: int = 64
    """Channels of the encoder at twice the latent's resolution; twice as many at the latent's."""
    blocks: int = 4
    """Residual blocks of the encoder at each of its two resolutions."""
    noise: Literal["learned", "per-channel", "fixed"] = "learned"
    """One learned sigma (the paper), one for each latent channel, or a constant one."""
    sigma: float = 0.5
    """The noise level at the start of training, or the constant one; 0, for a deterministic
    autoencoder, only where it is fixed."""
    stop_gradient: bool = False
    """Cut the gradient at the latent outside training: the paper's structural gradient masking."""
    stride: Literal[4, 8] = field(default=4, metadata=ADDED)
    """Pixels per latent cell along each axis: with 64 channels 4 keeps more values than a picture
    has, 8 a third of them."""
    linear: bool = field(default=True, metadata=ADDED)
    """Whether a linear transform goes around the networks of encoder and decoder."""
    latent: Literal["free", "bounded", "unit"] = field(default="free", metadata=ADDED)
    """What holds the latent's scale beside the rate: nothing; values between -1 and 1 (tanh); or a
    root mean square of 1 over the channels of each latent cell."""

    def __post_init__(self) -> None:
        check_types(self)
        within(self, 1, MOST_CHANNELS, "latent_channels", "width")
        within(self, 1, MOST_BLOCKS, "blocks")
        within(self, 0.0, math.inf, "sigma")
        if self.sigma == 0 and self.noise != "fixed":
            raise ConfigError(
                f"PurifierConfig.sigma is 0.0 with noise {self.noise!r}, which can learn nothing "
                "from there; give a number above zero, or noise 'fixed'"
            )


@dataclass(frozen=True)
class ClassifierConfig:
    """A classifier; a residual one halves the resolution before its first block."""

    size: Literal["tiny", "lite", "base"] = "lite"
    """tiny: for tests and the demo; lite: 1.6M parameters, for CPUs; base: ResNet-18 class."""
    classes: int = 10
    """Number of classes."""
    architecture: Literal["residual", "plain", "depthwise", "attention"] = field(
        default="residual", metadata=ADDED
    )
    """residual; convolutions without skips; depthwise convolutions; or a vision transformer, of
    about the same multiply-adds."""

    def __post_init__(self) -> None:
        check_types(self)
        within(self, 1, MOST_CLASSES, "classes")


PRECISIONS = ("float32", "bfloat16")
"""What a defence may compute in."""

DIFFUSION_STEPS = 1000
"""Time steps of the forward process of diffusion (Ho et al. 2020, section 4)."""


@dataclass(frozen=True)
class DiffusionConfig:
    """A diffusion model of low noise: a U-Net that predicts it."""

    width: int = 48
    """Channels at full resolution; twice as many at a half and at a quarter."""
    horizon: int = 170
    """Largest time step of 1000 that it is trained for: a noise of 0.30 on images in [0,1]."""

    def __post_init__(self) -> None:
        check_types(self)
        within(self, 1, MOST_CHANNELS, "width")
        within(self, 1, DIFFUSION_STEPS, "horizon")


@dataclass(frozen=True)
class LatentsConfig:
    """Unified latents: an encoder, a diffusion prior of its latents and a diffusion decoder."""

    channels: int = 16
    """Channels of the latent, at a quarter of the image's height and width."""
    width: int = 32
    """Channels of the decoder at full resolution, and of the encoder at half of it; the prior has
    three times as many."""
    log_snr: float = 5.0
    """Logarithm of the latent's signal-to-noise ratio, lambda_0: the noise has the variance
    sigmoid(-log_snr)."""

    def __post_init__(self) -> None:
        check_types(self)
        within(self, 1, MOST_CHANNELS, "channels", "width")
        within(self, -5.0, 15.0, "log_snr")


@dataclass(frozen=True)
class OptimConfig:
    """Optimiser, schedule and length of a training."""

    epochs: float = 1.0
    """Passes over the training images; fractions are allowed."""
    batch_size: int = 128
    """Images a step, over all processes together."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD with Nesterov momentum 0.9, or AdamW."""
    lr: float = 0.1
    """Peak learning rate: a linear warm-up, then a cosine to zero."""
    warmup: float = 0.15
    """Share of the steps that the warm-up takes."""
    weight_decay: float = 5e-4
    """Decay of convolution and linear weights; biases, norms and sigma have none."""
    clip: float = 0.0
    """Largest norm of the gradient; 0 for no limit."""
    ema: float = 0.998
    """Decay of the averaged weights, which are the ones saved: after n steps (1 + n) / (10 + n) at
    most, so that the average leaves its start behind. 0 for no averaging."""

    def __post_init__(self) -> None:
        check_types(self)
        positive(self, "epochs", "batch_size", "lr")
        within(self, 0.0, 1.0, "warmup", "ema")
        if self.ema == 1:
            raise ConfigError(
                "OptimConfig.ema is 1.0: the average would stay at the first step's "
                "weights; give a number below 1, such as 0.998"
            )
        within(self, 0.0, math.inf, "weight_decay", "clip")

    def steps(self, images: int) -> int:
        """All steps of a training on ``images``: whole batches only."""
        return max(1, round(self.epochs * (images // self.batch_size)))


@dataclass(frozen=True)
class EngineConfig:
    """Where and how a training runs. None of it changes which model is trained."""

    accelerator: str = "auto"
    """auto, cpu, cuda or mps."""
    devices: int = 1
    """Processes on each machine, one a device; the batch is shared out among them."""
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    """auto: bf16-mixed where the device multiplies bfloat16 natively, else 32-true."""
    threads: int = 0
    """CPU threads of each process; 0 for all cores shared out among the processes."""
    save_every: float = 60.0
    """Seconds between checkpoints."""
    nodes: int = 1
    """Machines; each runs the same command, started by torchrun (docs/cluster.md)."""

    def __post_init__(self) -> None:
        check_types(self)
        positive(self, "devices", "nodes", "save_every")
        within(self, 0, math.inf, "threads")


@dataclass(frozen=True)
class RateConfig:
    """What keeps sigma away from zero (losses.py says how)."""

    objective: Literal["constrained", "elbo", "mse"] = "constrained"
    """constrained: least rate at a given distortion; elbo: distortion + beta * rate; mse: none,
    so that the collapse of sigma can be shown."""
    psnr: float = 26.2
    """Reconstruction that the constraint asks for, in dB, of the mean squared error of a draw."""
    beta: float = 1e-6
    """Weight of the rate, in nats an image, beside the mean squared error (elbo)."""
    step: float = 0.05
    """Step size of the multiplier's update in log space (constrained)."""

    def __post_init__(self) -> None:
        check_types(self)
        positive(self, "psnr", "beta", "step")


@dataclass(frozen=True)
class FrameConfig:
    """How pictures of any size become images of one: resized, then cropped in the middle."""

    height: int = 32
    """Height of the images."""
    width: int = 32
    """Width of the images."""
    crop: float = 1.0
    """Share of the resized picture's shorter side that the crop keeps, as classifiers give it with
    their transform."""
    interpolation: Literal["bilinear", "bicubic", "lanczos", "nearest"] = "bicubic"
    """How pictures are resized; pixels that become one are averaged."""

    def __post_init__(self) -> None:
        check_types(self)
        within(self, 1, MOST_PIXELS, "height", "width")
        within(self, 0.1, 1.0, "crop")


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass, nested or not, as plain JSON values. Fields of ``ADDED`` stand in it where they
    are not the default."""
    plain: dict[str, Any] = json.loads(json.dumps(_plain(config)))
    return plain


def _plain(value: Any) -> Any:
    if not dataclasses.is_dataclass(value):
        return [_plain(each) for each in value] if isinstance(value, tuple | list) else value
    return {
        each.name: _plain(getattr(value, each.name))
        for each in dataclasses.fields(value)
        if not (each.metadata.get("added") and getattr(value, each.name) == each.default)
    }


def from_dict(kind: type[T], values: Mapping[str, Any]) -> T:
    """The dataclass ``kind`` from plain values; absent fields take their defaults.

    Raises:
        ConfigError: a field is unknown, or a value is refused by the dataclass.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{kind.__name__} is {values!r}; give its fields as a mapping")
    fields = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - fields)
    if unknown:
        valid = ", ".join(sorted(fields))
        raise ConfigError(f"{kind.__name__} has no field {unknown[0]!r}; choose among: {valid}")
    hints = typing.get_type_hints(kind)
    built = {
        name: from_dict(hints[name], value) if dataclasses.is_dataclass(hints[name]) else value
        for name, value in values.items()
    }
    try:
        return kind(**built)
    except TypeError as error:
        raise ConfigError(
            f"{kind.__name__} cannot be made from {dict(values)!r}: {error}"
        ) from error


def digest(value: Any) -> str:
    """sha256 (hex) of plain JSON values, whatever the order of their keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def check_types(config: Any) -> None:
    """Raise ConfigError unless every field holds a value of its declared type.

    A float field takes any finite number and stores a float, so that 3 and 3.0 are one setting
    with one digest. True and False are no numbers.
    """
    hints = typing.get_type_hints(type(config))
    for name in (each.name for each in dataclasses.fields(config)):
        hint, value = hints[name], getattr(config, name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if typing.get_origin(hint) is Literal:
            options = typing.get_args(hint)
            good, wanted = value in options, "one of: " + ", ".join(map(str, options))
        elif hint is float:
            good, wanted = number and abs(value) <= sys.float_info.max, "a finite number"
            if good:
                object.__setattr__(config, name, float(value))
        elif hint is int:
            good, wanted = number and isinstance(value, int), "a whole number"
        else:
            good, wanted = isinstance(value, hint), f"a value of type {hint.__name__}"
        if not good:
            kind = type(config).__name__
            raise ConfigError(f"{kind}.{name} is {value!r}; give {wanted}")


def require_number(
    name: str,
    value: object,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: bool = False,
    whole: bool = False,
) -> None:
    """Look whether ``value`` is a finite number in [low, high]; with ``above``, not ``low`` itself;
    with ``whole``, a whole one. True and False are no numbers.

    Raises:
        ConfigError: it is not; the message calls it ``name``.
    """
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    finite = number and (whole or abs(value) <= sys.float_info.max)  # type: ignore[arg-type]
    if finite and low <= value <= high and not (above and value == low):  # type: ignore[operator]
        return
    kind = "a whole number" if whole else "a finite number"
    if high < math.inf:
        kind += f" from {low:g} to {high:g}"
    elif (above and low == 0) or (whole and low == 1):
        kind += " above zero"
    elif low > -math.inf:
        kind += f" {'above' if above else 'of at least'} {low:g}"
    raise ConfigError(f"{name} is {value!r}; give {kind}")


def whole(config: Any, *names: str) -> None:
    """Raise ConfigError unless every named field is a whole number."""
    for name in names:
        require_number(_called(config, name), getattr(config, name), whole=True)


def positive(config: Any, *names: str) -> None:
    """Raise ConfigError unless every named field is a finite number above zero."""
    for name in names:
        require_number(_called(config, name), getattr(config, name), 0, above=True)


def within(config: Any, low: float, high: float, *names: str) -> None:
    """Raise ConfigError unless every named field lies in [low, high]."""
    for name in names:
        require_number(_called(config, name), getattr(config, name), low, high)


def _called(config: Any, name: str) -> str:
    """A field in an error; those of a command's settings are options of its own."""
    kind = type(config).__name__
    return name if kind == "Settings" else f"{kind}.{name}"


def class_names(names: Sequence[str]) -> tuple[str, ...]:
    """``names``, if they can be the names of classes.

    Raises:
        ConfigError: there is none, one is no text, or two are alike.
    """
    found = tuple(names) if isinstance(names, Sequence) else ()
    if not found or not all(isinstance(each, str) for each in found):
        raise ConfigError(
            f"class names are {str(names)[:200]}; give the text of each, in the order of the labels"
        )
    if len(set(found)) < len(found):
        twice = next(each for each in found if found.count(each) > 1)
        raise ConfigError(f"two classes have the name {twice!r}; give each a name of its own")
    return found

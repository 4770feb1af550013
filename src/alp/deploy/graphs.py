"""A defended model as the graphs that backends compile: the encoder, and decoder and classifier
on draws whose noise is an input.

Batch normalisations folded into the convolutions before them, in whatever module.
"""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from alp import seeding
from alp.defences import Defended, Purifier
from alp.defences.base import channels_last, unchecked
from alp.defences.packaged import require_defended
from alp.deploy.engine import Shapes
from alp.errors import ConfigError

TOLERANCE = 1e-4
"""Largest difference of an output that folding may make, relative to their scale."""


def folded(model: nn.Module, x: Tensor) -> nn.Module:
    """``model``, in evaluation mode, with each batch normalisation that alone follows a
    convolution folded into it; ``model`` itself where its code cannot be traced, or where the
    traced one does not give the same outputs for ``x``.

    One that comes before its activation and convolution, as the first of a pre-activation block,
    stays.
    """
    tracer = fx.Tracer()
    tracer.traced_func_name = getattr(unchecked(model), "__name__", "forward")
    with torch.no_grad():
        before = unchecked(model)(x)
        try:
            faster = _fold(fx.GraphModule(model, tracer.trace(model)))
            after = faster(x)
        except Exception:  # whatever the code of a module raises on symbols in place of tensors
            return model
    scale = 1 + float(before.abs().max())
    same = after.shape == before.shape and bool((after - before).abs().max() <= TOLERANCE * scale)
    return faster if same else model


def _fold(traced: fx.GraphModule) -> fx.GraphModule:
    modules = dict(traced.named_modules())
    calls = Counter(node.target for node in traced.graph.nodes if node.op == "call_module")
    for node in list(traced.graph.nodes):
        given = node.args[0] if node.args else None
        if not isinstance(given, fx.Node) or {node.op, given.op} != {"call_module"}:
            continue
        convolution, norm = modules[str(given.target)], modules[str(node.target)]
        if not (isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)):
            continue
        if len(given.users) > 1 or calls[given.target] > 1:
            continue  # somebody else needs the convolution as it is
        traced.set_submodule(str(given.target), fuse_conv_bn_eval(convolution, norm))
        node.replace_all_uses_with(given)
        traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


class EncodeGraph(nn.Module):
    """Images (B,3,H,W) in [0,1] -> mu (B,C,h,w)."""

    def __init__(self, purifier: Purifier, size: tuple[int, int]) -> None:
        super().__init__()
        self.encoder = purifier.encoder
        bottom, right = (-side % purifier.config.stride for side in size)
        self.padding = (0, right, 0, bottom)

    def forward(self, images: Tensor) -> Tensor:
        if any(self.padding):
            images = F.pad(images, self.padding, mode="replicate")
        mu: Tensor = self.encoder(images.contiguous(memory_format=torch.channels_last))
        return mu


class DecodeGraph(nn.Module):
    """mu (B,C,h,w) and noise (N,B,C,h,w) -> purified images (N,B,3,H,W) in [0,1]."""

    sigma: Tensor

    def __init__(self, purifier: Purifier, deviation: Tensor, size: tuple[int, int]) -> None:
        super().__init__()
        self.decoder = purifier.decoder
        self.size = size
        self.register_buffer("sigma", deviation.detach().clone())

    def forward(self, mu: Tensor, noise: Tensor) -> Tensor:
        images = self.images(mu, noise)
        return images.view(*noise.shape[:2], *images.shape[1:])

    def images(self, mu: Tensor, noise: Tensor) -> Tensor:
        """The same with the draws behind one another, (N*B,3,H,W)."""
        z = (mu + self.sigma * noise).flatten(0, 1)
        image: Tensor = self.decoder(z.contiguous(memory_format=torch.channels_last))
        return image[..., : self.size[0], : self.size[1]].clamp(0, 1)


class DrawGraph(nn.Module):
    """mu (B,C,h,w) and noise (N,B,C,h,w) -> logits (N,B,K)."""

    def __init__(self, decode: DecodeGraph, classifier: nn.Module) -> None:
        super().__init__()
        self.decode = decode
        self.classifier = classifier

    def forward(self, mu: Tensor, noise: Tensor) -> Tensor:
        logits: Tensor = unchecked(self.classifier)(self.decode.images(mu, noise))
        return logits.view(*noise.shape[:2], logits.shape[1])


class WholeGraph(nn.Module):
    """Images (B,3,H,W) -> mean logits (B,K) over ``draws`` draws made inside."""

    def __init__(self, encode: EncodeGraph, draw: DrawGraph, draws: int) -> None:
        super().__init__()
        self.encode = encode
        self.draw = draw
        self.draws = draws

    def forward(self, images: Tensor) -> Tensor:
        mu = self.encode(images)
        noise = torch.randn_like(mu.expand(self.draws, *mu.shape))
        logits: Tensor = self.draw(mu, noise).mean(0)
        return logits


class ClassifierGraph(nn.Module):
    """Images (B,3,H,W) -> logits (B,K), in channels-last memory and without a check of the
    images: noise takes them beyond [0,1]."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        return unchecked(self.classifier)(images.contiguous(memory_format=torch.channels_last))


@dataclass(frozen=True)
class Graphs:
    """A defended model, ready to be compiled; its modules share their weights."""

    encode: EncodeGraph
    draw: DrawGraph
    decode: DecodeGraph
    whole: WholeGraph
    shapes: Shapes
    sigma: float
    """The noise level: the scalar, or the mean over channels."""


def build_graphs(defended: Defended, size: tuple[int, int] = (32, 32)) -> Graphs:
    """The graphs of a copy of ``defended`` for images of ``size``: in evaluation mode,
    channels-last, batch normalisations folded into the convolutions before them.

    Raises:
        ConfigError: ``defended`` is no classifier behind a purifier, ``size`` no height and width,
            or the classifier does not take such images.
    """
    require_defended(defended, "the model")
    if len(size) != 2 or any(not isinstance(each, int) or each < 1 for each in size):
        raise ConfigError(f"size is {size!r}; give a height and a width, such as (32, 32)")
    model = deepcopy(defended).float().eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    device = next(model.purifier.parameters()).device
    x = seeding.uniform((2, 3, *size), seeding.generator(0, "graphs")).to(device)
    purifier, classifier = channels_last(model.purifier), channels_last(model.classifier)
    with torch.no_grad():
        latent = purifier.encode(x).shape[1:]
        classes = _logits(classifier, x).shape[1]
    classifier = channels_last(folded(classifier, x))
    encode, decode = EncodeGraph(purifier, size), DecodeGraph(purifier, model.deviation, size)
    draw = DrawGraph(decode, classifier)
    shapes = Shapes((size[0], size[1]), (latent[0], latent[1], latent[2]), classes, model.draws)
    whole = WholeGraph(encode, draw, model.draws)
    return Graphs(encode, draw, decode, whole.eval(), shapes, model.sigma)


def classifier_graph(classifier: nn.Module, size: tuple[int, int]) -> ClassifierGraph:
    """The graph of a copy of a classifier alone for images of ``size``, made as by
    :func:`build_graphs`.

    Raises:
        ConfigError: the classifier does not take such images.
    """
    model = channels_last(deepcopy(classifier).float().eval())
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    x = seeding.uniform((2, 3, *size), seeding.generator(0, "graphs"))
    with torch.no_grad():
        _logits(model, x)
    return ClassifierGraph(channels_last(folded(model, x))).eval()


def _logits(classifier: nn.Module, x: Tensor) -> Tensor:
    try:
        logits: Any = classifier(x)
    except RuntimeError as error:
        raise ConfigError(
            f"the classifier does not take images of {tuple(x.shape[2:])}: {error}; build the "
            "engine for the size that it was trained on"
        ) from error
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        raise ConfigError(f"the classifier answers {type(logits).__name__}; it has to give (B,K)")
    return logits

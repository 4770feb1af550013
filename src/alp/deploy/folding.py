"""Batch normalisations folded into the convolutions before them, in whatever module."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

TOLERANCE = 1e-4
"""Largest difference of an output that folding may make, relative to their scale."""


def folded(model: nn.Module, x: Tensor) -> nn.Module:
    """``model``, in evaluation mode, with each batch normalisation that alone follows a
    convolution folded into it; ``model`` itself where its code cannot be traced, or where the
    traced one does not give the same outputs for ``x``.

    One that comes before its activation and convolution, as the first of a pre-activation block,
    stays.
    """
    with torch.no_grad():
        before = model(x)
        try:
            faster = _fold(fx.symbolic_trace(model))
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

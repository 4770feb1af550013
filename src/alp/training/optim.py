"""Optimisers, and which parameters decay.

The learning rate as a function of the step, so that a resumed run needs no scheduler state.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from alp.config import OptimConfig

SIGMA_LR = 10.0
"""Learning rate of the noise level relative to the weights': one scalar has to travel as far as
its start is from its optimum, so that the end does not depend on the start."""


def build_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """The optimiser of ``model``'s trainable parameters; ``scale`` of a group multiplies its rate.

    Weight decay is for the weights of convolutions and linear layers alone: on a bias or a norm it
    does nothing useful, and on sigma's ``rho`` it would set the noise level.
    """
    decayed, free, noise = [], [], []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.endswith("noise.rho"):
            noise.append(parameter)
        elif name.endswith("weight") and parameter.ndim > 1:
            decayed.append(parameter)
        else:
            free.append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay, "scale": 1.0},
        {"params": free, "weight_decay": 0.0, "scale": 1.0},
        {"params": noise, "weight_decay": 0.0, "scale": SIGMA_LR},
    ]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr)
    return torch.optim.SGD(groups, lr=config.lr, momentum=0.9, nesterov=True)


def factor(step: int, total: int, warmup: float) -> float:
    """Share of the peak learning rate at ``step`` of ``total``: linear up, then a cosine to zero
    (Loshchilov and Hutter 2017, equation 5, without restarts)."""
    rise = max(1, round(warmup * total))
    if step < rise:
        return (step + 1) / rise
    return (1 + math.cos(math.pi * (step - rise) / max(1, total - rise))) / 2

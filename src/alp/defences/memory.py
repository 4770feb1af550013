"""What a gradient through a defence takes in memory.

A graph keeps what each operation needs for its way back, of every image and draw. Where that is
more than there is, draws are computed again on the way back, a few at a time.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from alp import seeding
from alp.defences.base import Defence

_CGROUP = Path("/sys/fs/cgroup")


def graph_bytes(defence: Defence, x: Tensor, draws: int = 1) -> int:
    """Bytes that a graph of ``draws`` draws of images (B,3,H,W) keeps for its way back, without
    the weights."""
    held = {each.untyped_storage().data_ptr() for each in defence.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in held:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    source = seeding.generator(0, "memory", device=x.device)
    with (
        torch.enable_grad(),
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
    ):
        logits = defence.logits(x.clone().requires_grad_(), source, draws)
        del logits
    return sum(kept.values())


def available_bytes(device: torch.device | str = "cpu") -> int | None:
    """Bytes that are free on a device, within the limit of a container; None where nobody says."""
    device = torch.device(device)
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu":
        return None
    free = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")]
        limit = (_CGROUP / "memory.max").read_text().strip()
        if limit.isdigit():
            free.append(int(limit) - int((_CGROUP / "memory.current").read_text()))
    except (OSError, ValueError, IndexError):
        pass
    return min(free, default=None)


def keep_at_most(defence: nn.Module, rows: int | None) -> None:
    """Let graphs through ``defence``, and the defences in it, keep ``rows`` images of draws at a
    time and compute the others again; None keeps all."""
    for module in defence.modules():
        if isinstance(module, Defence):
            module.kept_rows = rows

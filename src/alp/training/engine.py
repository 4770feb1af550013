"""The engine: devices, precision and processes, by Lightning Fabric."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.logger import Logger

from alp.config import EngineConfig
from alp.errors import ConfigError
from alp.usage import peak_memory as peak_memory

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


def limit_threads(config: EngineConfig) -> None:
    """Set torch's CPU threads for this process; sums of floats depend on their number."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    torch.set_num_threads(config.threads or max(1, cores // config.devices))


def build_engine(config: EngineConfig, loggers: Sequence[Logger] = ()) -> Fabric:
    """A launched Fabric engine; with several devices it starts the other processes, unless torchrun
    did. What a training logs goes to ``loggers``.

    Raises:
        ConfigError: the engine has no such accelerator or number of devices, or torchrun started
            another number of processes.
    """
    started = os.environ.get("WORLD_SIZE") if "TORCHELASTIC_RUN_ID" in os.environ else None
    world = config.devices * config.nodes
    if (started is None and config.nodes > 1) or (started and int(started) != world):
        raise ConfigError(
            f"{config.nodes} machines with {config.devices} processes each are {world} processes, "
            f"and {f'torchrun started {started}' if started else 'torchrun started none'}; start "
            "'torchrun --nnodes NODES --nproc_per_node DEVICES ... -m alp train ...' on each "
            "machine with the same --engine.nodes and --engine.devices"
        )
    # With other settings of DDP the second step adds gradients in another order than the first, so
    # that more than two processes would not resume to the same bits.
    strategy = "ddp_find_unused_parameters_true" if world > 1 else "auto"
    try:
        fabric = Fabric(
            accelerator=config.accelerator,
            devices=config.devices,
            num_nodes=config.nodes,
            strategy=strategy,
            precision=chosen_precision(config),
            loggers=list(loggers),
        )
    except (ValueError, RuntimeError, ImportError) as error:
        raise ConfigError(
            f"cannot run on accelerator={config.accelerator!r}, devices={config.devices}, "
            f"nodes={config.nodes}, precision={config.precision!r}: {error}"
        ) from error
    fabric.launch()
    return fabric


def chosen_precision(config: EngineConfig) -> Precision:
    """What ``auto`` stands for on this machine: bfloat16 only where it is multiplied natively."""
    if config.precision != "auto":
        return config.precision
    if config.accelerator in ("auto", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(False) else "16-mixed"
    if config.accelerator in ("auto", "mps") and torch.backends.mps.is_available():
        return "32-true"
    native = torch.cpu.get_capabilities()
    return "bf16-mixed" if native.get("avx512_bf16") or native.get("amx_bf16") else "32-true"

"""Which of several processes this one is. Imports nothing heavy."""

from __future__ import annotations

import os

RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
"""Variables by which a launcher numbers its processes; a process without them is alone."""


def is_first_process() -> bool:
    """Whether this process is the one that prints, evaluates and writes results."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)

"""What this process has taken of the machine."""

from __future__ import annotations

import resource
import sys


def peak_memory() -> int:
    """Largest memory so far in bytes: of the GPU where one is used, else of this process."""
    import torch

    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts KiB but on macOS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

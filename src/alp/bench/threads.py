"""The number of threads of torch, lent for a call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def with_threads(threads: int) -> Iterator[None]:
    """Inside, torch computes on ``threads`` threads and keeps no graph."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)

"""Tensors in a safetensors file whose bytes are a function of what is stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from alp.files import write_atomically

_ALIGNMENT = 8  # bytes; the format pads its header with spaces, so that tensors start aligned


def write_tensors(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, str]) -> None:
    """Write contiguous CPU ``tensors`` with ``meta`` in the header, atomically.

    The same content gives the same bytes: safetensors itself puts the metadata of each file in an
    order of its own.
    """
    content = _sorted_header(save(dict(tensors), dict(meta)))
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def _sorted_header(content: bytes) -> bytes:
    """The same safetensors file (8 bytes of length, JSON, data), the names of its header sorted."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:start]), sort_keys=True).encode()
    header += b" " * (-len(header) % _ALIGNMENT)
    return len(header).to_bytes(8, "little") + header + content[start:]

"""Safetensors files: the same content gives the same bytes, which any reader understands."""

from __future__ import annotations

from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from torch import Tensor

from alp.defences.checkpoint import write_tensors

KINDS = (torch.float32, torch.float16, torch.int64)


def tensors(seed: int) -> dict[str, Tensor]:
    source = torch.Generator().manual_seed(seed)
    return {
        f"{kind}.{size}": torch.randn(size, 3, generator=source).to(kind)
        for kind in KINDS
        for size in (0, 1, 5)
    } | {"scalar": torch.tensor(2.5)}


@given(meta=st.dictionaries(st.text(max_size=9), st.text(max_size=40), max_size=9))
def test_what_is_written_is_read(meta: dict[str, str], tmp_path_factory) -> None:
    path, written = tmp_path_factory.mktemp("tensors") / "a.safetensors", tensors(0)
    write_tensors(path, written, meta)
    with safe_open(path, framework="pt") as file:
        assert (file.metadata() or {}) == meta
        assert set(file.keys()) == set(written)
        for name, value in written.items():
            assert file.get_tensor(name).dtype == value.dtype
            assert torch.equal(file.get_tensor(name), value)


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    # Safetensors draws an order for each file: of 9 names, 8 times the same one is no accident.
    meta = {f"name {number}": str(number) for number in range(9)}
    for attempt in range(8):
        order = list(meta)[attempt:] + list(meta)[:attempt]
        again = {name: meta[name] for name in order}
        write_tensors(tmp_path / f"{attempt}", dict(reversed(tensors(1).items())), again)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_data_start_aligned(tmp_path: Path) -> None:
    for length in range(9):
        path = tmp_path / f"{length}"
        write_tensors(path, tensors(2), {"meta": "x" * length})
        assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0

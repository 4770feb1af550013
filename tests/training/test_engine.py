"""The engine: what it is asked for is what it is, or an error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from alp.config import EngineConfig
from alp.errors import ConfigError
from alp.training.engine import (
    build_engine,
    chosen_precision,
    limit_threads,
    peak_memory,
)


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_one_cpu_process(precision: str) -> None:
    engine = EngineConfig(accelerator="cpu", precision=precision, threads=1)
    fabric = build_engine(engine)
    assert fabric.device == torch.device("cpu")
    assert fabric.world_size == 1
    assert fabric.strategy.precision.precision == precision
    with fabric.autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.float32 if precision == "32-true" else torch.bfloat16)


def test_the_threads_are_those_asked_for() -> None:
    limit_threads(EngineConfig(threads=3))
    assert torch.get_num_threads() == 3
    limit_threads(EngineConfig(devices=10_000))
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("accelerator", ["nonsense", "", "cuda", "mps"])
def test_an_accelerator_that_is_not_there_is_refused(accelerator: str) -> None:
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if there.get(accelerator):
        pytest.skip(f"{accelerator} is there")
    with pytest.raises(ConfigError, match="cannot run on accelerator"):
        build_engine(EngineConfig(accelerator=accelerator, precision="32-true", threads=1))


@pytest.mark.parametrize(
    ("native", "expected"),
    [
        ({}, "32-true"),
        ({"avx512_bf16": False, "amx_bf16": False}, "32-true"),
        ({"avx512_bf16": True}, "bf16-mixed"),
        ({"amx_bf16": True}, "bf16-mixed"),
    ],
)
def test_auto_takes_bfloat16_only_where_the_cpu_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, native: dict[str, bool], expected: str
) -> None:
    """Where it does not, bfloat16 is emulated, and slower than float32."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: native)
    assert chosen_precision(EngineConfig(accelerator="cpu")) == expected
    assert chosen_precision(EngineConfig(accelerator="cpu", precision="32-true")) == "32-true"


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16-mixed"), (False, "16-mixed")])
def test_auto_on_a_gpu(monkeypatch: pytest.MonkeyPatch, native: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda emulated: native)
    assert chosen_precision(EngineConfig()) == expected
    assert chosen_precision(EngineConfig(accelerator="cpu", precision="32-true")) == "32-true"


def test_peak_memory_is_in_bytes() -> None:
    """A process with torch in it takes tens of megabytes at least, and no terabyte."""
    assert 50e6 < peak_memory() < 1e12

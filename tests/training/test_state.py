"""A training's state: back bit for bit, or refused; never another training's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from alp.config import OptimConfig
from alp.errors import CheckpointError
from alp.seeding import initialising
from alp.training.loop import build_optimizer
from alp.training.state import Progress, load_state, save_state


class Tiny(nn.Module):
    def __init__(self, seed: int) -> None:
        super().__init__()
        with initialising(seed, "tiny"):
            self.conv = nn.Conv2d(2, 3, 3)
            self.norm = nn.BatchNorm2d(3)
            self.noise = nn.Module()
            self.noise.rho = nn.Parameter(torch.randn(()))
        self.to(memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.norm(self.conv(x)) * self.noise.rho).square().sum()


def make(seed: int, kind: str = "adamw") -> tuple[Tiny, AveragedModel, torch.optim.Optimizer]:
    task = Tiny(seed)
    return task, AveragedModel(task), build_optimizer(task, OptimConfig(optimizer=kind))


def trained(kind: str = "adamw"):
    task, average, optimizer = make(0, kind)
    for _ in range(2):
        optimizer.zero_grad()
        task(torch.ones(2, 2, 4, 4).cumsum(2)).backward()
        optimizer.step()
        average.update_parameters(task)
    return task, average, optimizer


def equal(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a[0] == b[0] and torch.equal(a[1], b[1]) for a, b in pairs)


PROGRESS = Progress(2, 1.25, {"loss": [0.1, 1 / 3], "sigma": [0.5, 0.25]})


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("state") / "checkpoint.safetensors"
    task, average, optimizer = trained()
    save_state(path, "key", task, average, optimizer, PROGRESS)
    return path


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_round_trip_is_bit_identical(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "checkpoint.safetensors"
    task, average, optimizer = trained(kind)
    save_state(path, "key", task, average, optimizer, PROGRESS)
    again, again_average, again_optimizer = make(1, kind)
    assert not equal(task, again)
    assert load_state(path, "key", again, again_average, again_optimizer) == PROGRESS
    assert equal(task, again)
    assert equal(average, again_average)
    for one, other in zip(task.parameters(), again.parameters(), strict=True):
        assert one.stride() == other.stride()
        state, loaded = optimizer.state[one], again_optimizer.state[other]
        assert state.keys() == loaded.keys()
        assert state  # the optimiser remembers something
        for name, value in state.items():
            assert torch.equal(value, loaded[name])
            assert value.dtype == loaded[name].dtype


@pytest.mark.filterwarnings("ignore:.*meta parameter.*:UserWarning")
def test_the_optimisers_memory_lies_where_the_parameters_do(saved: Path) -> None:
    """On a GPU too, and for a parameter without dimensions too; AdamW keeps its step here."""
    task = Tiny(1).to("meta")
    optimizer = build_optimizer(task, OptimConfig(optimizer="adamw"))
    load_state(saved, "key", task, None, optimizer)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for parameter in parameters:
        devices = {name: v.device.type for name, v in optimizer.state[parameter].items()}
        assert devices == {"step": "cpu", "exp_avg": "meta", "exp_avg_sq": "meta"}


def refused(path: Path) -> bool:
    """Whether a file is refused; one that is not has to hold what was saved."""
    task, average, optimizer = make(1)
    try:
        progress = load_state(path, "key", task, average, optimizer)
    except CheckpointError:
        return True
    assert progress == PROGRESS
    assert equal(task, trained()[0])
    return False


@given(data=st.data(), value=st.integers(0, 255) | st.sampled_from(b'"0189{}[],.e'))
def test_a_flipped_byte_is_refused_or_harmless(
    saved: Path, data: st.DataObject, value: int
) -> None:
    content = bytearray(saved.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    place = data.draw(st.integers(0, header - 1) | st.integers(0, len(content) - 1))
    damaged = saved.with_name("flipped.safetensors")
    content[place] = value
    damaged.write_bytes(content)
    refused(damaged)


def test_a_flipped_loss_or_weight_is_refused(saved: Path) -> None:
    content = saved.read_bytes()
    damaged = saved.with_name("other.safetensors")
    assert content.count(b"[0.1, ") == 1
    for other in (content.replace(b"[0.1, ", b"[0.9, "), content[:-1] + b"x"):
        damaged.write_bytes(other)
        assert refused(damaged)


@given(st.data())
def test_a_truncated_file_is_refused(saved: Path, data: st.DataObject) -> None:
    content = saved.read_bytes()
    damaged = saved.with_name("short.safetensors")
    damaged.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    assert refused(damaged)


def test_other_settings_and_foreign_files_are_refused_with_what_to_do(saved, tmp_path) -> None:
    with pytest.raises(CheckpointError, match="other settings; give another folder"):
        load_state(saved, "another key", *make(1))
    foreign = tmp_path / "foreign.safetensors"
    save_file({"x": torch.zeros(1)}, foreign, {"key": "key"})
    with pytest.raises(CheckpointError, match=r"foreign\.safetensors is damaged.*delete it"):
        load_state(foreign, "key", *make(1))


def test_progress_counts_steps_and_keeps_every_scalar() -> None:
    progress = Progress()
    for step in range(3):
        progress.add({"loss": float(step)})
    assert progress.step == 3
    assert progress.history == {"loss": [0.0, 1.0, 2.0]}

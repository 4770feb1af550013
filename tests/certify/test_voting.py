"""Votes by several processes, some of which are killed: the same record."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import alp
from alp.data import load_data
from alp.defences.plan import SamplingPlan
from alp.defences.smoothed import Smoothed
from alp.errors import ConfigError
from alp.evaluation.certify import CertifyConfig, certify_into, run, smoothed_of
from alp.evaluation.crew import Crew
from alp.records import Record, write

pytestmark = pytest.mark.slow

CONFIG = CertifyConfig(SamplingPlan((0.0,), budget=512), batch_size=3)


def files(record: Record, folder: Path) -> list[bytes]:
    """The bytes of a written record."""
    write(record, folder / "record")
    return [path.read_bytes() for path in sorted(folder.iterdir())]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("backend", ["eager", "openvino"])
def test_the_number_of_processes_changes_no_byte(voter, new_data, tmp_path, backend) -> None:
    if backend != "eager":
        pytest.importorskip(backend)
    data, smoothed = new_data(9), smoothed_of(voter, 0.25, backend=backend, size=(8, 8))
    told: list[tuple[int, int]] = []
    alone = run(smoothed, data, CONFIG)
    shared = run(
        smoothed,
        data,
        CONFIG,
        crew=Crew(count=2, threads=1),
        progress=lambda *now: told.append((now[0], now[2])),
    )
    assert files(alone, tmp_path / "a") == files(shared, tmp_path / "b")
    assert alone.header["threads"] == 1
    assert told[-1][0] == 9
    assert sum(votes for _, votes in told) == alone.columns["draws"].sum()


class Deadly(nn.Module):
    """Kills its process the first time it is asked; then a classifier by the mean."""

    def __init__(self, mark: str) -> None:
        super().__init__()
        self.mark = mark
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        if self.mark and not Path(self.mark).exists():
            Path(self.mark).touch()
            signal.raise_signal(signal.SIGKILL)
        means = x.flatten(1).mean(1)
        return torch.stack([means, 0.5 - means, 0.3 - means, -means], 1)


@pytest.mark.usefixtures("one_thread")
def test_a_worker_that_dies_is_replaced(new_data, tmp_path) -> None:
    notes: list[str] = []
    deadly = Smoothed(Deadly(str(tmp_path / "mark")), 0.25)
    found = run(deadly, new_data(9), CONFIG, crew=Crew(count=2, threads=1), note=notes.append)
    assert len(notes) == 1
    assert "died of SIGKILL; its unit is done again" in notes[0]
    assert found.same(run(Smoothed(Deadly(""), 0.25), new_data(9), CONFIG, name="Deadly"))


@pytest.mark.usefixtures("one_thread")
def test_another_backend_neither_resumes_nor_goes_on(voter, new_data, tmp_path) -> None:
    data = new_data(6)
    of = partial(smoothed_of, voter, 0.25, size=(8, 8))

    def stop(done: int, total: int, votes: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(of(), data, CONFIG, resume=tmp_path, progress=stop)
    for other in (of(backend="compile"), of(precision="bfloat16")):
        with pytest.raises(ConfigError, match=r"differs in: .*give another resume folder"):
            run(other, data, CONFIG, resume=tmp_path)
    record = run(of(), data, CONFIG, resume=tmp_path)
    with pytest.raises(ConfigError, match=r"differs in backend.*; give its settings"):
        run(of(backend="compile"), data, CONFIG, start=record)


@pytest.mark.usefixtures("one_thread")
def test_a_record_without_a_backend_is_one_of_torch(voter, new_data) -> None:
    smoothed, data = smoothed_of(voter, 0.25), new_data(3)
    record = run(smoothed, data, CONFIG)
    older = {key: value for key, value in record.header.items() if key != "backend"}
    again = run(smoothed, data, CONFIG, start=Record(older, record.columns))
    assert again.same(record)


COMMAND = """
import sys
from pathlib import Path
from alp import load
from alp.data import load_data
from alp.defences.plan import SamplingPlan
from alp.evaluation.certify import CertifyConfig, certify_into, smoothed_of
from alp.evaluation.crew import Crew

config = CertifyConfig(SamplingPlan((0.0,), budget=1_280), batch_size=2)
smoothed = smoothed_of(load(sys.argv[1]), 0.25)
certify_into(Path(sys.argv[2]), "model", smoothed, load_data("shapes", "test").take(40), config,
             crew=Crew(count=2, threads=1))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
@pytest.mark.usefixtures("one_thread")
def test_killed_three_times_with_its_workers(new_classifier, tmp_path) -> None:
    """SIGKILL to the command and its workers whenever three more batches are kept."""
    weights = tmp_path / "weights.safetensors"
    alp.save(new_classifier(classes=10), weights)
    line = [sys.executable, "-c", COMMAND, str(weights), str(tmp_path / "cut")]
    kept = tmp_path / "cut" / "certificates" / "model"
    for _ in range(3):
        before = len(list(kept.glob("*.parquet")))
        command = subprocess.Popen(line, start_new_session=True)
        while len(list(kept.glob("*.parquet"))) < before + 3:
            assert command.poll() is None, "it ended before it was killed"
            time.sleep(0.01)
        os.killpg(command.pid, signal.SIGKILL)
        assert command.wait() == -signal.SIGKILL
    subprocess.run(line, check=True)
    config = CertifyConfig(SamplingPlan((0.0,), budget=1_280), batch_size=2)
    smoothed, data = smoothed_of(alp.load(weights), 0.25), load_data("shapes", "test").take(40)
    whole = certify_into(tmp_path / "whole", "model", smoothed, data, config)
    cut = tmp_path / "cut" / "records"
    for path in (tmp_path / "whole" / "records").iterdir():
        assert path.read_bytes() == (cut / path.name).read_bytes()
    assert whole.columns["draws"].sum() > 0
    assert not kept.exists()

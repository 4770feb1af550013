"""An experiment from its protocol to its files, with a stub for the hours of training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from alp.config import EngineConfig
from alp.errors import ConfigError, UnknownNameError
from alp.experiments import EXPERIMENTS
from alp.experiments.protocol import Protocol
from alp.experiments.reproduce import reproduce
from alp.experiments.workspace import Workspace
from alp.records import write

PROTOCOL = Protocol(trials=2)


@pytest.fixture(autouse=True)
def stub(make_record, monkeypatch) -> None:
    def experiment(workspace: Workspace):
        workspace.report("train", 1, 1, "")
        records = [make_record(trial=trial) for trial in range(workspace.protocol.trials)]
        for record in records:
            write(record, workspace.folder / "records" / f"defended-{record.header['trial']}")
        return records

    monkeypatch.setitem(EXPERIMENTS._held, "stub", experiment)


def test_table_and_page(tmp_path: Path) -> None:
    seen: list[tuple[object, ...]] = []
    done = reproduce(("stub",), PROTOCOL, tmp_path, lambda *what: seen.append(what))
    assert seen == [("train", 1, 1, "")]
    content = json.loads((tmp_path / "stub" / "table.json").read_text())
    assert content == done.items["stub"].table
    assert content["experiment"] == "stub"
    assert content["rows"][0]["trials"] == 2
    page = done.report.read_text()
    assert done.report == tmp_path / "report.html"
    assert "32.06" in page


def test_a_repetition_gives_the_same_bytes(tmp_path: Path) -> None:
    reproduce(("stub",), PROTOCOL, tmp_path)
    files = ("stub/table.json", "report.html", "protocol.json")
    before = [(tmp_path / name).read_bytes() for name in files]
    reproduce(("stub",), PROTOCOL, tmp_path)
    assert [(tmp_path / name).read_bytes() for name in files] == before


def test_trials_may_be_added_and_the_engine_changed(tmp_path: Path) -> None:
    reproduce(("stub",), PROTOCOL, tmp_path)
    more = replace(PROTOCOL, trials=3, engine=EngineConfig(threads=1))
    assert reproduce(("stub",), more, tmp_path).items["stub"].table["rows"][0]["trials"] == 3


@pytest.mark.parametrize(
    "change", [{"trials": 1}, {"images": 7}, {"scale": "gpu"}, {"data": "shapes"}, {"seed": 1}]
)
def test_another_protocol_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    reproduce(("stub",), PROTOCOL, tmp_path)
    with pytest.raises(ConfigError, match=f"{next(iter(change))} .*another folder"):
        reproduce(("stub",), replace(PROTOCOL, **change), tmp_path)


def test_only_the_first_process_writes(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    reproduce(("stub",), PROTOCOL, tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*")] == ["stub/records"]


def test_unknown_experiment(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="hierarchy"):
        reproduce(("nonsense",), PROTOCOL, tmp_path)


def test_every_experiment_says_what_it_makes() -> None:
    assert all(EXPERIMENTS.summary(name) for name in EXPERIMENTS if name != "stub")

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from alp.data import load_data
from alp.data.cifar10 import download
from alp.errors import DataError


class FakeHub:
    """huggingface_hub as far as it is used: a cache on disk and a network that may be down."""

    def __init__(self, folder: Path, online: bool) -> None:
        self.folder, self.online, self.calls = folder, online, [""][:0]

    def snapshot_download(self, repository: str, **options: Any) -> str:
        assert options["repo_type"] == "dataset"
        if options.get("local_files_only"):
            self.calls.append("local")
            if not self.folder.exists():
                raise FileNotFoundError("no snapshot")
        else:
            self.calls.append(f"download {options['revision']} {options['allow_patterns']}")
            self.folder.mkdir(exist_ok=True)
            (self.folder / "test-0.parquet").touch()
        return str(self.folder)

    def dataset_info(self, repository: str, timeout: float) -> SimpleNamespace:
        self.calls.append("probe")
        assert timeout <= 10
        if not self.online:
            raise RuntimeError("no route to host\nlong advice")
        return SimpleNamespace(sha="abc")


def install(monkeypatch: pytest.MonkeyPatch, hub: FakeHub) -> FakeHub:
    module = SimpleNamespace(snapshot_download=hub.snapshot_download, HfApi=lambda: hub)
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)  # type: ignore[arg-type]
    return hub


def test_what_is_on_disk_is_used_without_a_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "test-0.parquet").touch()
    hub = install(monkeypatch, FakeHub(tmp_path, online=False))
    assert download("a/b", "test-*.parquet", "mend it") == tmp_path
    assert hub.calls == ["local"]


def test_a_snapshot_without_the_files_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = install(monkeypatch, FakeHub(tmp_path, online=True))
    assert download("a/b", "test-*.parquet", "mend it") == tmp_path
    assert hub.calls == ["local", "probe", "download abc ['test-*.parquet']"]


def test_offline_fails_with_the_repair_and_does_not_try_to_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = install(monkeypatch, FakeHub(tmp_path / "none", online=False))
    with pytest.raises(DataError, match=r"a/b .*no route to host\): connect .*, or mend it$"):
        download("a/b", "test-*.parquet", "mend it")
    assert hub.calls == ["local", "probe"]


def test_without_the_client_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r'pip install -e "\.\[hub\]" in .*, or mend it'):
        download("a/b", "test-*.parquet", "mend it")


def test_cifar10_without_the_setting_asks_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALP_DATA", raising=False)
    install(monkeypatch, FakeHub(tmp_path / "none", online=False))
    with pytest.raises(DataError, match=r"uoft-cs/cifar10 from .*or set ALP_DATA"):
        load_data("cifar10", "test")

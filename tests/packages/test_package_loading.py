"""Packaged models: found by name or path, whole or refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import alp
from alp.defences import Defended, InputNoise, Purifier, ResNetLite
from alp.defences.checkpoint import load_model, save, weights_digest
from alp.defences.packaged import (
    CARD,
    MANIFEST,
    OFFERS,
    Package,
    load,
    open_package,
    packaged_names,
    seal,
)
from alp.errors import CheckpointError, UnknownNameError
from alp.seeding import generator

KINDS = {
    "": Defended,
    "/defended": Defended,
    "/purifier": Purifier,
    "/standard": ResNetLite,
    "/adversarial": ResNetLite,
    "/standalone": Defended,
    "/input-noise": InputNoise,
}


def test_the_size_counts_what_the_name_alone_stands_for(installed: Package) -> None:
    weights = {"defended-classifier.safetensors", "purifier.safetensors"}
    counted = {*weights, MANIFEST, CARD}
    assert installed.size == sum((installed.folder / name).stat().st_size for name in counted)
    assert counted < {path.name for path in installed.folder.iterdir()}


@pytest.mark.parametrize("row", KINDS)
def test_a_row_by_name_and_by_path(row: str, installed: Package) -> None:
    model = alp.load(f"toy{row}")
    assert type(model) is KINDS[row]
    assert not model.training
    assert weights_digest(model) == weights_digest(load(Path(f"{installed.folder}{row}")))
    assert all(value.dtype != torch.float16 for value in model.state_dict().values())


def test_the_name_alone_is_the_defended_row(installed: Package) -> None:
    one, two = alp.load("toy"), alp.load("toy/defended")
    assert isinstance(one, Defended)
    assert one.draws == 3
    assert weights_digest(one) == weights_digest(two) != weights_digest(alp.load("toy/standalone"))


def test_names_are_listed(installed: Package) -> None:
    assert set(packaged_names()) == {f"toy{row}" for row in KINDS}


@pytest.mark.parametrize("name", ["toy/teapot", "toy/defended/more", "toy/.."])
def test_an_unknown_row_lists_the_rows(name: str, installed: Package) -> None:
    with pytest.raises(UnknownNameError, match="adversarial, defended, input-noise"):
        load(name)


def test_an_unknown_name_lists_the_names(installed: Package) -> None:
    with pytest.raises(CheckpointError, match=r"teapot.*alp train.*toy, toy/purifier, toy/"):
        load("teapot")


@pytest.mark.parametrize("name", OFFERS)
def test_a_package_without_weights_says_how_to_train_it(name: str, installed: Package) -> None:
    with pytest.raises(CheckpointError, match=rf"{name}.*recipe.*alp \w+ .*--scale \w+"):
        load(f"{name}/adversarial")


def test_what_exists_comes_before_a_name(
    installed: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = alp.load("toy/standard")
    save(own, tmp_path / "toy")
    assert weights_digest(alp.load("toy")) == weights_digest(own)
    (tmp_path / "toy").unlink()
    (tmp_path / "toy").mkdir()  # a folder of anything else does not stand in the way
    assert isinstance(alp.load("toy"), Defended)


def test_a_folder_without_a_manifest_is_refused(installed: Package, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"folder without manifest\.json"):
        load(tmp_path)


def test_half_precision_on_disk_is_single_in_memory(package: Package) -> None:
    """Of kernels only: statistics, biases and sigma are stored as they are."""
    row = package.manifest["rows"]["defended"]
    path = package.folder / row["files"]["purifier"]
    assert path.stat().st_size < 2.6 * row["parameters"]
    single, half = load_model(path), load(package.folder).purifier
    assert weights_digest(single) == weights_digest(half)
    kernels = {name for name, value in half.state_dict().items() if value.ndim == 4}
    assert kernels
    for name, value in half.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, value.half().float()) or name not in kernels


@pytest.fixture(scope="module")
def copied(package: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that may be damaged."""
    folder = tmp_path_factory.mktemp("damaged") / "toy"
    shutil.copytree(package.folder, folder)
    return folder


def load_all(folder: Path) -> None:
    package = open_package(folder)
    package.verify()
    for row in package.manifest["rows"]:
        package.load(row)


def refused(folder: Path, name: str, content: bytes) -> None:
    """What ``name`` of a package is replaced by is refused with a message that names the file."""
    path = folder / name
    whole = path.read_bytes()
    try:
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=name):
            load_all(folder)
    finally:
        path.write_bytes(whole)


FILES = [MANIFEST, "README.md", "adversarial.safetensors", "defended-purifier.safetensors"]


@given(data=st.data(), name=st.sampled_from(FILES), change=st.integers(1, 255))
def test_any_changed_byte_is_refused(
    copied: Path, data: st.DataObject, name: str, change: int
) -> None:
    content = bytearray((copied / name).read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= change
    refused(copied, name, content)


@given(data=st.data(), name=st.sampled_from(FILES))
def test_a_truncated_file_is_refused(copied: Path, data: st.DataObject, name: str) -> None:
    content = (copied / name).read_bytes()
    refused(copied, name, content[: data.draw(st.integers(0, len(content) - 1))])


@given(st.binary(max_size=30) | st.sampled_from([b"[]", b"null", b'{"sha256": 3}', b"[" * 9999]))
def test_anything_else_is_no_manifest(copied: Path, content: bytes) -> None:
    refused(copied, MANIFEST, content)


def test_a_whole_package_loads(copied: Path) -> None:
    """Were it refused as it is, the tests above would pass on anything."""
    load_all(copied)


@pytest.mark.parametrize("row", ["adversarial", "defended"])
def test_a_loaded_row_is_verified_without_asking(row: str, copied: Path) -> None:
    (name, *_) = open_package(copied).manifest["rows"][row]["files"].values()
    content = bytearray((copied / name).read_bytes())
    content[-1] ^= 1
    whole = (copied / name).read_bytes()
    (copied / name).write_bytes(content)
    try:
        with pytest.raises(CheckpointError, match=rf"{name} is damaged: its sha256"):
            load(copied / row)
        load(copied / "standard")
    finally:
        (copied / name).write_bytes(whole)


def test_a_missing_file_is_refused(package: Package, tmp_path: Path) -> None:
    shutil.copytree(package.folder, tmp_path / "toy")
    (tmp_path / "toy" / "adversarial.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"adversarial\.safetensors cannot be read"):
        load(tmp_path / "toy" / "adversarial")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "alp-package-0"}, "alp-package-0"),
        ({"digest": "0"}, "another model"),
    ],
)
def test_an_intact_manifest_of_other_things_is_refused(
    package: Package, tmp_path: Path, change: dict, said: str
) -> None:
    shutil.copytree(package.folder, tmp_path / "toy")
    content = json.loads(json.dumps(package.manifest))
    (content if "format" in change else content["rows"]["defended"]).update(change)
    (tmp_path / "toy" / MANIFEST).write_bytes(seal(content))
    with pytest.raises(CheckpointError, match=said):
        load(tmp_path / "toy")


def test_a_random_row_draws_from_the_source_it_is_given(installed: Package) -> None:
    x = torch.rand(2, 3, 8, 8, generator=generator(0, "x"))
    for name in ("toy", "toy/input-noise"):
        model = alp.load(name)
        first, again, other = (model(x, generator(seed, "draw")) for seed in (0, 0, 1))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)

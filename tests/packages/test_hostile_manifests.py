"""Manifests that lack keys or name other files, and the names of classes in them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import alp
from alp.defences.checkpoint import load_model, save
from alp.defences.classes import require_same_classes
from alp.defences.packaged import MANIFEST, Package, load, open_package, seal
from alp.errors import AlpError, CheckpointError, ConfigError
from alp.experiments.release import pack
from alp.report.card import render_card


@pytest.fixture(scope="module")
def copied(package: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy whose manifest may be rewritten."""
    folder = tmp_path_factory.mktemp("hostile") / "toy"
    shutil.copytree(package.folder, folder)
    (folder.parent / "outside.safetensors").write_bytes(
        (folder / "standard.safetensors").read_bytes()
    )
    return folder


def sealed(folder: Path, package: Package, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(json.dumps(package.manifest))
    change(content)
    (folder / MANIFEST).write_bytes(seal(content))


def use_all(folder: Path) -> None:
    """Everything that readers do with a package."""
    package = open_package(folder)
    package.verify()
    assert package.size
    for row in package.manifest["rows"]:
        load(folder / row)


PATHS = [
    ["default"], ["rows"], ["files"], ["name"], ["rows", "defended"],
    *(["rows", "defended", key] for key in (
        "title", "model", "parameters", "digest", "files", "training", "evaluation")),
    ["rows", "defended", "model", "kind"], ["rows", "defended", "files", "purifier"],
    ["rows", "defended", "evaluation", "verdicts"],
    ["files", "purifier.safetensors"], ["files", "purifier.safetensors", "sha256"],
    ["files", "purifier.safetensors", "bytes"],
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_a_manifest_that_lacks_a_key_is_refused(path: list[str], copied: Path, package) -> None:
    def lose(content: dict[str, Any]) -> None:
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    sealed(copied, package, lose)
    with pytest.raises(CheckpointError, match="make the package again"):
        use_all(copied)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5) | st.sampled_from(["../x", "/etc/passwd", "standard.safetensors"]),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


@given(path=st.sampled_from(PATHS), value=json_values)
def test_any_value_in_a_manifest_is_used_or_refused(
    copied: Path, package: Package, path: list[str], value: Any
) -> None:
    def put(content: dict[str, Any]) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    sealed(copied, package, put)
    try:
        use_all(copied)
    except AlpError:
        return
    if path[-1] == "verdicts":
        assert value == []  # there may be none
        return
    assert path[-1] in ("title", "parameters", "name", "training", "evaluation", "rows", "default")


@pytest.mark.parametrize(
    "name", ["../outside.safetensors", "{parent}/outside.safetensors", "./standard.safetensors",
             "below/../standard.safetensors", "..", ""],
)  # fmt: skip
def test_a_manifest_cannot_name_files_elsewhere(name: str, copied: Path, package: Package) -> None:
    name = name.format(parent=copied.parent)

    def change(content: dict[str, Any]) -> None:
        content["files"][name] = content["files"]["standard.safetensors"]
        content["rows"]["standard"]["files"]["model"] = name

    sealed(copied, package, change)
    for work in (lambda: load(copied / "standard"), lambda: open_package(copied).verify()):
        with pytest.raises(CheckpointError, match="no plain file name"):
            work()


def test_a_file_that_the_manifest_gives_no_digest_of_is_not_read(copied: Path, package) -> None:
    (copied / "more.safetensors").write_bytes((copied / "standard.safetensors").read_bytes())
    sealed(
        copied, package, lambda m: m["rows"]["standard"]["files"].update(model="more.safetensors")
    )
    with pytest.raises(CheckpointError, match=r"no digest of 'more\.safetensors'"):
        load(copied / "standard")


@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "zeros"])
def test_what_is_no_file_in_the_folder_is_not_read(kind: str, package, tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    shutil.copytree(package.folder, folder)
    place = folder / "standard.safetensors"
    place.rename(tmp_path / "outside")
    if kind == "link":
        place.symlink_to(tmp_path / "outside")
    elif kind == "fifo":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match=r"is no file|is a link to .*outside of its folder"):
        load(folder / "standard")


def test_parts_that_make_no_model_are_refused(copied: Path, package: Package) -> None:
    for files in (
        {"purifier": "purifier.safetensors"},
        {"purifier": "standard.safetensors", "classifier": "purifier.safetensors"},
        {"teapot": "purifier.safetensors"},
        {},
    ):
        sealed(copied, package, lambda m, f=files: m["rows"]["defended"].update(files=f))
        with pytest.raises(CheckpointError, match="make no model"):
            load(copied / "defended")


def test_weights_that_are_not_finite_are_not_packaged(trained, toy, tmp_path: Path) -> None:
    model = load_model(trained["standard"] / "weights.safetensors")
    model.head.bias.data[0] = float("nan")
    shutil.copytree(trained["standard"], tmp_path / "run")
    with pytest.warns(UserWarning, match="not finite"):
        save(model, tmp_path / "run" / "weights.safetensors")
    rows = {"defended": trained["defended"], "standard": tmp_path / "run"}
    with pytest.raises(CheckpointError, match=r"head\.bias are not finite"):
        pack("toy", rows, tmp_path / "out", toy, render_card)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_place_that_cannot_be_written_is_found_first(trained, toy, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = []
    with pytest.raises(AlpError, match="cannot be written"):
        pack("toy", trained, tmp_path / "file", toy, render_card, report=lambda *a: told.append(a))
    assert told == []


def test_names_of_classes_are_packaged(trained, toy, tmp_path: Path) -> None:
    model = load_model(trained["defended"] / "weights.safetensors")
    model.classes = ("cat", "dog", "hen")
    shutil.copytree(trained["defended"], tmp_path / "run")
    save(model, tmp_path / "run" / "weights.safetensors")
    made = pack("toy", {"defended": tmp_path / "run"}, tmp_path / "out", toy, render_card)
    assert made.manifest["rows"]["defended"]["classes"] == ["cat", "dog", "hen"]
    assert made.load().classes == ("cat", "dog", "hen")
    with pytest.raises(ConfigError, match=r"cat, dog, hen.*toy has \(a, b, c\)"):
        require_same_classes(made.load(), toy, 3)


def test_names_that_older_weights_lack_are_those_of_their_evaluation(copied, package) -> None:
    def told(data: str, where: str) -> Callable[[dict[str, Any]], object]:
        found = {"data": {"name": data, "classes": ["x", "y", "z"]}}
        return lambda m: m["rows"]["defended"]["evaluation"].update({where: [found]})

    for data, names in (("cifar10", ("x", "y", "z")), ("other", None)):
        sealed(copied, package, told(data, "protocols"))
        assert load(copied).classes == names


def test_the_packaged_model_knows_its_classes() -> None:
    for row in ("", "/adversarial", "/standard", "/standalone"):
        assert alp.load(f"cifar10-lite{row}").classes[:3] == ("airplane", "automobile", "bird")

"""Exports that lack keys, name other files, or keep weights outside of every digest."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alp.config import digest
from alp.deploy import Runtime, export_onnx
from alp.deploy.onnx_models import labelled
from alp.deploy.runtime import DESCRIPTION, read_description
from alp.errors import AlpError, CheckpointError, OutputError

pytestmark = pytest.mark.slow

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def copy(exported, tmp_path_factory) -> Path:
    return Path(shutil.copytree(exported, tmp_path_factory.mktemp("hostile") / "copy"))


@pytest.fixture(scope="module")
def described(exported) -> dict[str, Any]:
    return read_description(exported)


def write(folder: Path, described: dict[str, Any], change: Callable[[Any], object]) -> None:
    """A description whose own digest is right, whatever it says."""
    content = deepcopy(described)
    change(content)
    text = json.dumps({**content, "digest": digest(content)})
    (folder / DESCRIPTION).write_text(text)


PATHS = [
    ["noise"], ["shapes"], ["files"], ["shapes", "size"], ["shapes", "latent"],
    ["shapes", "classes"], ["shapes", "draws"], ["files", "draws"], ["files", "draws", "file"],
    ["files", "draws", "sha256"],
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_an_export_that_lacks_a_key_is_refused(path: list[str], copy, described) -> None:
    def lose(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    write(copy, described, lose)
    with pytest.raises(AlpError, match="export"):
        Runtime(copy)


values = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
    | st.lists(st.integers(-1, 40), max_size=4) | st.sampled_from([10**9, "../x", {}])
)  # fmt: skip


@given(path=st.sampled_from([*PATHS, ["classes"]]), value=values)
def test_any_value_in_an_export_is_used_or_refused(
    path: list[str], value: Any, copy, described, images
) -> None:
    def put(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    write(copy, described, put)
    with suppress(AlpError):
        runtime = Runtime(copy, 1)
        assert runtime.classes is None or all(isinstance(name, str) for name in runtime.classes)


@pytest.mark.parametrize("name", ["../draws.onnx", "/etc/passwd", "a/../draws.onnx", "", ".."])
def test_an_export_cannot_name_files_elsewhere(name: str, copy, described) -> None:
    shutil.copy(copy / "draws.onnx", copy.parent / "draws.onnx")
    write(copy, described, lambda content: content["files"]["draws"].update(file=name))
    with pytest.raises(CheckpointError, match="no plain file name"):
        Runtime(copy)


def test_links_and_fifos_are_not_read(exported, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "copy"))
    place = folder / "draws.onnx"
    place.rename(tmp_path / "draws.onnx")
    place.symlink_to(tmp_path / "draws.onnx")
    with pytest.raises(CheckpointError, match="is a link to"):
        Runtime(folder)
    place.unlink()
    os.mkfifo(place)
    with pytest.raises(CheckpointError, match="is no file"):
        Runtime(folder)


def put_model(folder: Path, described: dict[str, Any], content: bytes) -> None:
    (folder / "draws.onnx").write_bytes(content)
    sha = hashlib.sha256(content).hexdigest()
    write(folder, described, lambda each: each["files"]["draws"].update(sha256=sha))


def test_weights_outside_of_every_digest_are_refused(exported, described, tmp_path: Path) -> None:
    """As ONNX's own tools write them; the file of weights may be changed unnoticed."""
    folder = Path(shutil.copytree(exported, tmp_path / "copy"))
    model = onnx.load(folder / "draws.onnx")
    onnx.save_model(
        model, folder / "draws.onnx", save_as_external_data=True, location="weights.bin",
        size_threshold=0,
    )  # fmt: skip
    put_model(folder, described, (folder / "draws.onnx").read_bytes())
    with pytest.raises(CheckpointError, match=r"external data.*export it again, as one file"):
        Runtime(folder)


@pytest.mark.parametrize("content", [b"", b"\x08\x01", b"onnx" * 99])
def test_what_is_no_model_is_refused(content: bytes, exported, described, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "copy"))
    put_model(folder, described, content)
    with pytest.raises(AlpError, match=r"ONNX Runtime refuses the model.*export it again"):
        Runtime(folder)


def test_class_names_are_exported(defended, images, tmp_path: Path) -> None:
    """In the description and in each file, which may be used alone."""
    model = deepcopy(defended)
    model.classes = ("cat", "dog", "cow", "h\u00fchn")
    export_onnx(model, tmp_path / "named", size=images.shape[2:])
    runtime = Runtime(tmp_path / "named", 1)
    assert runtime.classes == model.classes
    session = onnxruntime.InferenceSession(tmp_path / "named" / "draws.onnx")
    held = session.get_modelmeta().custom_metadata_map
    assert tuple(json.loads(held["classes"])) == model.classes


def test_naming_classes_changes_no_answer(exported, images) -> None:
    plain = (exported / "encoder.onnx").read_bytes()
    named = labelled(plain, ["a", "b"])
    answers = [
        onnxruntime.InferenceSession(each).run(None, {"images": images})[0]
        for each in (plain, named)
    ]
    assert named != plain
    assert np.array_equal(*answers)


def test_an_export_without_names_has_none(exported) -> None:
    assert Runtime(exported, 1).classes is None


def test_a_place_that_cannot_be_written_is_found_before_the_export(
    defended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("alp.deploy.export.build_graphs", lambda *a: pytest.fail("it worked first"))
    with pytest.raises(OutputError, match="cannot be written"):
        export_onnx(defended, tmp_path / "file")

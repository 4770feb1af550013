"""Weights files that ask for too much, are not finite, or are files of another kind."""

from __future__ import annotations

import json
import os
import pickle
import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

import alp
from alp.config import ClassifierConfig, PurifierConfig, digest
from alp.defences import InputNoise, Purifier, ResNetLite, defend
from alp.defences.checkpoint import (
    FORMAT,
    load_model,
    save,
    tensors_digest,
    weights_digest,
    write_tensors,
)
from alp.errors import AlpError, CheckpointError, OutputError

pytestmark = pytest.mark.slow

MIB = 2**20

DESCRIBED: dict[str, dict[str, Any]] = {
    "purifier": {"kind": "purifier", "config": {}},
    "classifier": {"kind": "classifier", "config": {}},
    "defended": {"kind": "defended", "purifier": {}, "classifier": {}, "draws": 2},
    "input-noise": {"kind": "input-noise", "sigma": 0.1, "draws": 2, "classifier": {}},
}


def write(
    path: Path, description: Any, tensors: dict[str, torch.Tensor], classes: str | None = None
) -> Path:
    """A file whose digests are right, whatever it describes."""
    text = description if isinstance(description, str) else json.dumps(description)
    meta = {"format": FORMAT, "model": text, "digest": tensors_digest(tensors)}
    if classes is not None:
        meta["classes"] = classes
    meta["model_digest"] = digest(text if classes is None else [text, classes])
    write_tensors(path, tensors, meta)
    return path


def grown(work: Callable[[], object]) -> float:
    """MiB by which the process's memory has ever grown during ``work``."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    work()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest defended model, with class names."""
    path = tmp_path_factory.mktemp("saved") / "weights.safetensors"
    model = defend(ResNetLite(ClassifierConfig("tiny", 4)), Purifier(PurifierConfig(1, 2, 1)), 7)
    model.classes = "abcd"
    save(model, path)
    return path


@pytest.mark.parametrize(
    "config",
    [
        {"width": 10**7}, {"latent_channels": 10**9}, {"blocks": 10**9}, {"width": 4096},
        {"width": 4096, "blocks": 256}, {"width": 10**400}, {"blocks": 10**30},
    ],
)  # fmt: skip
def test_a_file_that_asks_for_too_much_gets_nothing(config: dict, tmp_path: Path) -> None:
    description = {"kind": "purifier", "config": config}
    path = write(tmp_path / "w", description, {"noise.rho": torch.zeros(())})

    def work() -> None:
        with pytest.raises(CheckpointError, match="does not fit its description"):
            load_model(path)

    assert grown(work) < 400  # 4096 channels are 2.4 GB


@pytest.mark.parametrize("draws", [10**12, 0, -1, True, "7", None, 2.0, [1]])
def test_impossible_draws_are_refused(saved: Path, tmp_path: Path, draws: object) -> None:
    description = load_model(saved).describe() | {"draws": draws}
    path = write(tmp_path / "w", description, load_file(saved))
    with pytest.raises(CheckpointError, match="does not fit its description: draws is"):
        load_model(path)


def test_a_tensor_of_another_shape_or_name_is_named(saved: Path, tmp_path: Path) -> None:
    description, tensors = load_model(saved).describe(), load_file(saved)
    other = tensors | {"purifier.noise.rho": torch.zeros(2)}
    with pytest.raises(CheckpointError, match=r"shape \[\] of 'purifier.noise.rho'.*holds \[2\]"):
        load_model(write(tmp_path / "shape", description, other))
    more = tensors | {"zoo": torch.zeros(0, 10**9)}
    with pytest.raises(CheckpointError, match=r"shape of nothing of 'zoo'"):
        load_model(write(tmp_path / "more", description, more))
    del tensors["purifier.noise.rho"]
    with pytest.raises(CheckpointError, match=r"purifier.noise.rho', and the file holds nothing"):
        load_model(write(tmp_path / "less", description, tensors))


def spoil(model: nn.Module, name: str, value: float) -> nn.Module:
    with torch.no_grad():
        model.state_dict()[name].view(-1)[-1] = value
    return model


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    "name",
    ["purifier.noise.rho", "classifier.head.bias", "classifier.norm.running_var",
     "purifier.encoder.stem.1.weight"],
)  # fmt: skip
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, name: str, value: float) -> None:
    model = defend(ResNetLite(ClassifierConfig("tiny", 4)), Purifier(PurifierConfig(2, 2, 1)))
    spoil(model, name, value)
    with pytest.warns(UserWarning, match=rf"{name} are not finite; .*cannot be loaded"):
        save(model, tmp_path / "w")
    with pytest.raises(CheckpointError, match=rf"1 of the \d+ values of {name} are not finite"):
        alp.load(tmp_path / "w")


def test_a_noise_level_that_overflows_is_refused(saved: Path, tmp_path: Path) -> None:
    model = InputNoise(ResNetLite(ClassifierConfig("tiny", 4)), 0.1)
    save(model, tmp_path / "whole")
    for sigma in (10**400, -1, 0):
        description = model.describe() | {"sigma": sigma}
        path = write(tmp_path / "w", description, load_file(tmp_path / "whole"))
        with pytest.raises(CheckpointError, match="does not fit its description"):
            load_model(path)


def test_a_double_that_single_precision_cannot_hold_is_refused(tmp_path: Path, saved: Path) -> None:
    tensors = load_file(saved)
    tensors["purifier.noise.rho"] = torch.tensor(1e300, dtype=torch.float64)
    path = write(tmp_path / "w", load_model(saved).describe(), tensors)
    with pytest.raises(CheckpointError, match="not finite"):
        load_model(path)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_models_of_other_precisions_are_saved_as_single_ones(
    tmp_path: Path, kind: torch.dtype, saved: Path
) -> None:
    model = load_model(saved).to(kind)
    stored = save(model, tmp_path / "w")
    again = load_model(tmp_path / "w")
    assert stored == weights_digest(again)
    for name, value in model.state_dict().items():
        found = again.state_dict()[name]
        assert found.dtype in (torch.float32, torch.int64)
        assert torch.equal(found, value.to(found.dtype))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x80\x04.", "is a pickle.*nothing is unpickled.*weights_only"),
        (pickle.dumps({"a": 1}), "is a pickle.*nothing is unpickled"),
        (b"PK\x03\x04" + b"0" * 99, "zip archive, as torch.save.*nothing is unpickled"),
        (b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS.*git lfs pull"),
        (b"<!doctype html>", "web page.*download the file itself"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"", "is damaged"),
        (b"\x10" + b"\0" * 40, "is damaged"),
    ],
)
def test_files_of_other_kinds_are_called_what_they_are(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(CheckpointError, match=said):
        load_model(tmp_path / "w")


def test_what_torch_saves_is_not_called_damaged(tmp_path: Path) -> None:
    for new in (True, False):
        torch.save({"a": torch.zeros(3)}, tmp_path / "w.pt", _use_new_zipfile_serialization=new)
        with pytest.raises(CheckpointError, match="unpickled") as told:
            alp.load(tmp_path / "w.pt")
        assert "damaged" not in str(told.value)


def test_a_file_of_any_name_is_read(saved: Path, tmp_path: Path) -> None:
    for name in ("sp ace", "\x1b[31m", "new\nline", "\u00fc\u4e2d", os.fsdecode(b"\xff\xfe")):
        path = tmp_path / name
        path.write_bytes(saved.read_bytes())
        assert weights_digest(alp.load(path)) == weights_digest(alp.load(saved))
        assert save(alp.load(saved), path) == weights_digest(alp.load(saved))


@pytest.mark.parametrize(
    "name", ["a" * 5000, "a/" * 3000, "nul\0", "", "\udcff", "~", "~nobody-at-all/x", "..", "/"]
)
def test_a_name_of_nothing_is_an_error(name: str) -> None:
    with pytest.raises(AlpError) as told:
        alp.load(name)
    assert len(str(told.value)) < 1000


@pytest.mark.parametrize("source", [None, 3, b"bytes", ["a"]])
def test_what_is_no_name_is_an_error(source: Any) -> None:
    with pytest.raises(CheckpointError, match="give a path or a name as text"):
        alp.load(source)


def test_a_place_that_cannot_be_written_is_an_error(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "w", tmp_path / ("a" * 300), tmp_path):
        with pytest.raises(OutputError, match="cannot be written"):
            save(load_model(saved), place)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from([10**7, 10**18, -1, 10**400, "learned", "tiny", "huge"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip

FIELDS = [
    "kind", "config", "draws", "sigma", "purifier", "classifier", "latent_channels", "width",
    "blocks", "noise", "stop_gradient", "size", "classes",
]  # fmt: skip


@st.composite
def descriptions(draw: st.DrawFn) -> Any:
    """A description with some of its values, at any depth, replaced or added."""
    made = json.loads(json.dumps(DESCRIBED[draw(st.sampled_from(sorted(DESCRIBED)))]))
    places = [made, *(each for each in made.values() if isinstance(each, dict))]
    for _ in range(draw(st.integers(0, 3))):
        draw(st.sampled_from(places))[draw(st.sampled_from(FIELDS))] = draw(json_values)
    return made


@given(description=descriptions() | json_values, classes=st.none() | json_values)
def test_any_description_is_a_model_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, description: Any, classes: Any
) -> None:
    path = tmp_path_factory.mktemp("any") / "w"
    write(
        path,
        description,
        {"noise.rho": torch.zeros(())},
        None if classes is None else json.dumps(classes),
    )
    with pytest.raises(CheckpointError):
        load_model(path)


@given(description=descriptions(), classes=st.none() | json_values)
def test_any_description_with_its_tensors_is_a_model_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, saved: Path, description: Any, classes: Any
) -> None:
    """Tensors that do fit, where only what shows in no shape has been replaced."""
    whole = load_model(saved).describe()
    described = whole | {k: v for k, v in description.items() if k in ("draws", "sigma", "zoo")}
    path = tmp_path_factory.mktemp("any") / "w"
    write(path, described, load_file(saved), None if classes is None else json.dumps(classes))
    with suppress(CheckpointError):
        model = load_model(path)
        assert weights_digest(model) == weights_digest(load_model(saved))
        assert 1 <= model.draws <= 10**6
        assert model.classes is None or all(isinstance(name, str) for name in model.classes)


@given(data=st.data(), count=st.integers(1, 4))
def test_a_changed_header_is_a_model_or_an_error(
    saved: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, count: int
) -> None:
    """Bytes of the header replaced, its length left or made right again."""
    content = saved.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header, body = bytearray(content[8:start]), content[start:]
    for _ in range(count):
        place = data.draw(st.integers(0, len(header) - 1))
        long = st.sampled_from([b"9" * 30, b"[" * 9999, b'"', b"-", b"1e999"])
        new = data.draw(st.binary(max_size=3) | long)
        header[place : place + data.draw(st.integers(0, 3))] = new
    length = data.draw(st.just(len(header)) | st.integers(0, 2**64 - 1))
    path = tmp_path_factory.mktemp("header") / "w"
    path.write_bytes(length.to_bytes(8, "little") + header + body)
    with suppress(CheckpointError):
        assert weights_digest(load_model(path)) == weights_digest(load_model(saved))

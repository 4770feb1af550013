"""Models on disk: back bit for bit, or refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from alp.config import ClassifierConfig, PurifierConfig, digest
from alp.defences import Purifier, ResNetLite, defend
from alp.defences.checkpoint import (
    FORMAT,
    build,
    load_model,
    save,
    tensors_digest,
    weights_digest,
)
from alp.errors import CheckpointError, ConfigError
from alp.seeding import generator, initialising

CODE = PurifierConfig(8, 8, 1, noise="per-channel", sigma=0.3, stop_gradient=True)


def models() -> dict[str, nn.Module]:
    with initialising(0, "models"):
        return {
            "purifier": Purifier(CODE).eval(),
            "classifier": ResNetLite(ClassifierConfig("tiny", 4)).eval(),
            "defended": defend(ResNetLite(ClassifierConfig("tiny", 4)), Purifier(CODE), 7).eval(),
        }


every_model = pytest.mark.parametrize("kind", models())


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest defended model, saved."""
    path = tmp_path_factory.mktemp("saved") / "weights.safetensors"
    purifier = Purifier(PurifierConfig(1, 2, 1))
    save(defend(ResNetLite(ClassifierConfig("tiny", 4)), purifier, 7), path)
    return path


@every_model
def test_round_trip_is_bit_identical(kind: str, tmp_path: Path) -> None:
    model, path = models()[kind], tmp_path / "new" / "weights.safetensors"
    saved = save(model, path)
    again = load_model(path)
    assert type(again) is type(model)
    assert again.describe() == model.describe()
    assert saved == weights_digest(model) == weights_digest(again)
    state = again.state_dict()
    assert list(state) == list(model.state_dict())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not any(module.training for module in again.modules())
    x = torch.rand(2, 3, 16, 16, generator=generator(0, "x"))
    arguments = () if kind == "classifier" else (generator(0, "draw"),)
    first = model(x, *arguments)
    arguments = () if kind == "classifier" else (generator(0, "draw"),)
    assert torch.allclose(again(x, *arguments), first, atol=1e-6)


@every_model
def test_a_description_builds_the_same_architecture(kind: str) -> None:
    model = models()[kind]
    assert build(model.describe()).describe() == model.describe()


def test_paths_may_be_text(tmp_path: Path) -> None:
    path = str(tmp_path / "weights.safetensors")
    save(models()["purifier"], path)
    assert isinstance(load_model(path), Purifier)


def test_channels_last_weights_are_saved_as_the_same_ones(tmp_path: Path) -> None:
    model = models()["classifier"]
    before = weights_digest(model)
    model.to(memory_format=torch.channels_last)
    assert save(model, tmp_path / "weights.safetensors") == before


def test_the_digest_sees_names_types_shapes_and_values() -> None:
    one = {"a": torch.zeros(2, 3), "b": torch.ones(())}
    others = [
        {"a": torch.zeros(3, 2), "b": torch.ones(())},
        {"a": torch.zeros(2, 3, dtype=torch.int32), "b": torch.ones(())},
        {"a": torch.zeros(2, 3), "c": torch.ones(())},
        {"a": torch.zeros(2, 3), "b": torch.ones(1)},
        {"a": torch.zeros(2, 3), "b": torch.tensor(1.0000001)},
        {"a": torch.zeros(2, 3)},
    ]
    assert len({tensors_digest(each) for each in [one, *others]}) == 7
    assert tensors_digest(dict(reversed(one.items()))) == tensors_digest(one)


def same_or_refused(path: Path, original: Path) -> None:
    try:
        model = load_model(path)
    except CheckpointError:
        return
    whole = load_model(original)
    assert model.describe() == whole.describe()
    assert weights_digest(model) == weights_digest(whole)


@given(data=st.data(), value=st.integers(0, 255) | st.sampled_from(b'"0189{}[],CFI'))
def test_a_flipped_byte_is_refused_or_harmless(
    saved: Path, data: st.DataObject, value: int
) -> None:
    """Half of the flips hit the header, which is a small part of the file."""
    content = bytearray(saved.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    place = data.draw(st.integers(0, header - 1) | st.integers(0, len(content) - 1))
    content[place] = value
    damaged = saved.with_name("flipped.safetensors")
    damaged.write_bytes(content)
    same_or_refused(damaged, saved)


def test_other_settings_in_an_intact_file_are_refused(saved: Path) -> None:
    """The number of draws shows in no weight."""
    content = saved.read_bytes()
    assert content.count(b'\\"draws\\": 7') == 1
    damaged = saved.with_name("draws.safetensors")
    damaged.write_bytes(content.replace(b'\\"draws\\": 7', b'\\"draws\\": 9'))
    with pytest.raises(CheckpointError, match="damaged"):
        load_model(damaged)


def test_a_flipped_weight_is_refused(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    content[-2] ^= 1
    damaged = saved.with_name("weight.safetensors")
    damaged.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        load_model(damaged)


@given(st.data())
def test_a_truncated_file_is_refused(saved: Path, data: st.DataObject) -> None:
    content = saved.read_bytes()
    damaged = saved.with_name("short.safetensors")
    damaged.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(CheckpointError, match=r"short\.safetensors"):
        load_model(damaged)


@given(content=st.binary(max_size=40))
def test_any_other_bytes_are_refused(saved: Path, content: bytes) -> None:
    path = saved.with_name("bytes.safetensors")
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"bytes\.safetensors"):
        load_model(path)


def header(description: str, tensors: dict[str, torch.Tensor]) -> dict[str, str]:
    """The header of an intact file, as another version of alp might write it."""
    weights = tensors_digest(tensors)
    return {
        "format": FORMAT,
        "model": description,
        "digest": weights,
        "model_digest": digest(description),
    }


@pytest.mark.parametrize("lost", ["format", "model", "digest", "model_digest"])
def test_every_entry_of_the_header_is_needed(saved: Path, tmp_path: Path, lost: str) -> None:
    tensors = load_file(saved)
    meta = header(json.dumps(load_model(saved).describe()), tensors)
    save_file(tensors, tmp_path / "whole", meta)
    assert weights_digest(load_model(tmp_path / "whole")) == weights_digest(load_model(saved))
    del meta[lost]
    save_file(tensors, tmp_path / "less", meta)
    with pytest.raises(CheckpointError, match="less"):
        load_model(tmp_path / "less")


def test_foreign_safetensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    for meta in (None, {"format": "pt"}, {"format": "alp-model-0"}):
        save_file({"weight": torch.zeros(3)}, path, meta)
        with pytest.raises(CheckpointError, match="not a model of alp"):
            load_model(path)


@pytest.mark.parametrize(
    "description",
    ["{}", "[]", "3", "null", "{", '{"kind": "purifier"}', '{"kind": "teapot", "config": {}}',
     '{"kind": "purifier", "config": 3}', '{"kind": "purifier", "config": {"colour": 1}}',
     '{"kind": "classifier", "config": {"size": "huge"}}',
     '{"kind": "defended", "draws": 0, "classifier": {}, "purifier": {}}'],
)  # fmt: skip
def test_a_description_of_no_model_is_refused(tmp_path: Path, description: str) -> None:
    path = tmp_path / "weights.safetensors"
    tensors = {"weight": torch.zeros(3)}
    save_file(tensors, path, header(description, tensors))
    with pytest.raises(CheckpointError, match="does not fit its description"):
        load_model(path)


def test_weights_of_another_architecture_are_refused(tmp_path: Path, saved: Path) -> None:
    path = tmp_path / "weights.safetensors"
    tensors = load_file(saved)
    description = '{"kind": "purifier", "config": {}}'
    save_file(tensors, path, header(description, tensors))
    with pytest.raises(CheckpointError, match="does not fit its description"):
        load_model(path)


def test_a_missing_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nothing\.safetensors.*alp train"):
        load_model(tmp_path / "nothing.safetensors")
    with pytest.raises(CheckpointError):
        load_model(tmp_path)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError):
        load_model(path)
    torch.save({"model": Bomb()}, path)
    with pytest.raises(CheckpointError):
        load_model(path)


def test_a_foreign_classifier_is_refused_with_what_to_do(tmp_path: Path) -> None:
    model = defend(nn.Flatten(), models()["purifier"])
    with pytest.raises(ConfigError, match=r"Flatten.*save"):
        save(model, tmp_path / "weights.safetensors")
    assert list(tmp_path.iterdir()) == []

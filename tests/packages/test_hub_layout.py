"""save_pretrained and from_pretrained: round trips on this machine, and no pickle."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import pytest
import torch
from rows import models

import alp
from alp.defences import Defended, InputNoise, Purifier, ResNetLite, defend, pretrained
from alp.defences.checkpoint import weights_digest
from alp.errors import AlpError, CheckpointError, ConfigError

ROWS = ["purifier", "standard", "defended", "input-noise"]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("row", ROWS)
def test_round_trip(row: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, folder = models()[row], tmp_path / "model"
    model.save_pretrained(folder)
    again = type(model).from_pretrained(folder)
    assert type(again) is type(model)
    assert again.describe() == model.describe()
    assert weights_digest(again) == weights_digest(model)
    assert not again.training
    config = json.loads((folder / "config.json").read_text())
    assert config.get("alp", config) == model.describe()
    names = {"model.safetensors", "config.json", "README.md"}
    if isinstance(model, alp.Defence):
        names |= {"modeling_alp.py", "preprocessor_config.json"}
        assert list(config["id2label"].values()) == [f"class {number}" for number in range(3)]
    assert {path.name for path in folder.iterdir()} == names
    assert capsys.readouterr().out == ""
    again.save_pretrained(folder)  # over an older one
    assert weights_digest(type(model).from_pretrained(str(folder))) == weights_digest(model)


def test_the_card_names_kind_and_licence(tmp_path: Path) -> None:
    models()["defended"].save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "alp.Defended.from_pretrained" in card
    assert "license: mit" in card
    assert "{{" not in card


def test_the_front_door_has_it(tmp_path: Path) -> None:
    models()["defended"].save_pretrained(tmp_path)
    assert alp.Defended.from_pretrained(tmp_path).draws == 3
    assert isinstance(alp.load(tmp_path / "model.safetensors"), Defended)


@pytest.mark.parametrize("kind", [Purifier, ResNetLite, InputNoise])
def test_a_model_of_another_kind_is_refused(kind: type, tmp_path: Path) -> None:
    models()["defended"].save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"holds a Defended.*Defended\.from_pretrained"):
        kind.from_pretrained(tmp_path)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    torch.save({"model": Bomb()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"no model\.safetensors.*never loaded"):
        Defended.from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match="is a pickle, and nothing is unpickled here"):
        Defended.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_damage_is_refused(name: str, tmp_path: Path) -> None:
    models()["defended"].save_pretrained(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:-9])
    with pytest.raises(CheckpointError):
        Defended.from_pretrained(tmp_path)


def test_a_config_of_another_model_is_refused(tmp_path: Path) -> None:
    """Changing the draws there would have no effect, so it is not taken silently."""
    models()["defended"].save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config["alp"]))  # as earlier versions did
    assert Defended.from_pretrained(tmp_path).draws == 3
    config["alp"]["draws"] = 9
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="describes another model"):
        Defended.from_pretrained(tmp_path)


def test_an_unknown_repository_fails_at_once_offline() -> None:
    with pytest.raises(CheckpointError, match=r"'nobody/nothing'.*save_pretrained"):
        Defended.from_pretrained("nobody/nothing")


def test_a_foreign_classifier_is_refused(tmp_path: Path) -> None:
    model = defend(torch.nn.Flatten(), models()["purifier"])
    with pytest.raises(ConfigError, match="Flatten"):
        model.save_pretrained(tmp_path)


def test_a_push_uploads_what_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """To a hub that only writes down what it is given."""
    uploaded = {}

    class Repository:
        repo_id = "somebody/model"

    class Api:
        def __init__(self, **_: object) -> None: ...

        def create_repo(self, **_: object) -> Repository:
            return Repository()

        def upload_folder(self, *, folder_path: Path, **_: object) -> str:
            uploaded["model"] = Defended.from_pretrained(folder_path)
            uploaded["card"] = (Path(folder_path) / "README.md").read_text()
            return "https://hub/commit"

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Api)
    model = models()["defended"]
    assert model.push_to_hub("somebody/model", private=True) == "https://hub/commit"
    assert weights_digest(uploaded["model"]) == weights_digest(model)
    assert "# Defended of alp" in uploaded["card"]


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    with pytest.raises(AlpError, match=r"huggingface_hub.*\[hub\]"):
        Defended.from_pretrained("anything")


def test_models_do_not_import_the_hub() -> None:
    import subprocess

    code = "import sys, alp.defences.packaged; sys.exit('huggingface_hub' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

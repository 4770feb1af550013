"""ONNX files, and the adapters of timm and transformers before stand-ins of these."""

from __future__ import annotations

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import alp
from alp.defences import ResNetLite
from alp.defences.references import REFERENCES, parsed
from alp.errors import AlpError, CheckpointError, ConfigError


@pytest.fixture
def onnx_file(place):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    module = alp.load("net.py:make").module
    torch.onnx.export(
        module,
        (torch.rand(2, 3, 16, 16),),
        place / "net.onnx",
        dynamic_shapes=({0: torch.export.Dim("b")},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    return place / "net.onnx"


def test_an_onnx_file_answers_without_a_gradient(onnx_file, new_purifier, new_images) -> None:
    model, x = alp.load("net.onnx"), new_images(3, 16, 16)
    assert torch.allclose(model(x), alp.load("net.py:make")(x), atol=1e-5)
    assert not model.differentiable
    assert not alp.defend(model, new_purifier()).differentiable
    alp.save(alp.defend(model, new_purifier()), "defended.safetensors")
    onnx = pytest.importorskip("onnx")
    named = onnx.load(onnx_file)
    onnx.helper.set_model_props(named, {"classes": "cat, dog"})
    onnx.save(named, "named.onnx")
    with pytest.raises(CheckpointError, match="'cat, dog' as the metadata 'classes'"):
        alp.load("named.onnx")
    onnx_file.write_bytes(onnx_file.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="cannot be read as an ONNX model"):
        alp.load("defended.safetensors")


def timm_stand_in() -> ModuleType:
    timm = ModuleType("timm")
    timm.data = ModuleType("timm.data")

    def create_model(name, pretrained, num_classes=3, checkpoint_path=""):
        if name != "toy" or pretrained:
            raise RuntimeError(f"Unknown model ({name})")
        model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, num_classes))
        model.pretrained_cfg = {"fixed_input_size": True}
        if checkpoint_path:
            from safetensors.torch import load_file

            model.load_state_dict(load_file(checkpoint_path))
        return model

    timm.create_model = create_model
    timm.list_models = lambda pattern: ["toy"]
    timm.data.resolve_model_data_config = lambda model: {
        "input_size": (3, 8, 8),
        "mean": (0.1, 0.2, 0.3),
        "std": (0.5, 0.5, 0.5),
        "crop_pct": 0.875,
        "interpolation": "bicubic",
    }
    timm.data.infer_imagenet_subset = lambda model: None
    return timm


@pytest.fixture
def timm(monkeypatch) -> ModuleType:
    stand_in = timm_stand_in()
    monkeypatch.setitem(sys.modules, "timm", stand_in)
    monkeypatch.setitem(sys.modules, "timm.data", stand_in.data)
    return stand_in


def test_timm_with_its_transform_and_head(timm, place, new_images) -> None:
    model, x = alp.load("timm:toy,weights=random"), new_images(2, 8, 8)
    mean = torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)
    assert torch.allclose(model(x), model.module((x - mean) / 0.5), atol=1e-6)
    assert (model.frame.height, model.frame.crop, model.fixed) == (8, 0.875, True)
    named = alp.load("timm:toy,weights=random,classes=a:b:c:d")
    assert named(x).shape == (2, 4), "names set the size of the head"
    save_file(named.module.state_dict(), place / "own.safetensors")
    own = alp.load("timm:toy,weights=own.safetensors,classes=a:b:c:d")
    assert torch.equal(own(x), named(x))
    with pytest.raises(CheckpointError, match="timm:hf-hub:some/model is no name of a model"):
        alp.load("timm:hf-hub:some/model")
    with pytest.raises(CheckpointError, match="there are toy; without a network say"):
        alp.load("timm:toy")
    with pytest.raises(CheckpointError, match="nothing is unpickled"):
        alp.load("timm:toy,weights=own.pth")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:toy", r"pip install -e \"\.\[timm\]\""),
        ("hf:toy", r"pip install -e \"\.\[transformers\]\""),
        ("robustbench:toy", "needs robustbench"),
    ],
)
def test_what_is_not_installed_is_said(name, message, monkeypatch) -> None:
    for each in ("timm", "transformers", "robustbench"):
        monkeypatch.setitem(sys.modules, each, None)
    with pytest.raises(AlpError, match=message):
        alp.load(name)


def test_transformers_from_a_folder(place, monkeypatch, new_images) -> None:
    class Answer(nn.Module):
        config = SimpleNamespace(id2label={1: "dog", 0: "cat"}, image_size=8)

        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 2)

        def forward(self, x):
            return SimpleNamespace(logits=self.head(x.mean((2, 3))))

    transformers = ModuleType("transformers")
    transformers.AutoModelForImageClassification = SimpleNamespace(
        from_pretrained=lambda place, use_safetensors, trust_remote_code: Answer()
    )
    monkeypatch.setitem(sys.modules, "transformers", transformers)
    (place / "model").mkdir()
    (place / "model" / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "image_mean": [0.5, 0.5, 0.5],
                "image_std": [0.25, 0.25, 0.25],
                "size": {"shortest_edge": 10},
                "do_center_crop": True,
                "crop_size": {"height": 8, "width": 8},
                "resample": 3,
            }
        )
    )
    (place / "bare").mkdir()
    with pytest.raises(ConfigError, match=r"hf:bare has no preprocessor_config.json.*,mean=0.485"):
        alp.load("hf:bare")
    told = alp.load("hf:bare,size=8,mean=0.5,std=0.25")
    assert (told.mean.flatten().tolist(), told.std.flatten().tolist()) == ([0.5], [0.25])
    model, x = alp.load("hf:model"), new_images(2, 8, 8)
    assert model.classes == ("cat", "dog")
    assert torch.allclose(model(x), model.module((x - 0.5) / 0.25).logits)
    assert model.frame == alp.config.FrameConfig(8, 8, 0.8, "bicubic")


def test_other_packages_add_kinds(outside) -> None:
    text = (
        "from alp.defences.references import Found\n"
        "from torch import nn\n"
        "def open_mine(reference):\n"
        "    return Found(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 2)).eval())\n"
    )
    outside(REFERENCES, "mine", "mine_package:open_mine", text)
    assert alp.load("mine:anything,size=8").reference.kind == "mine"


@pytest.mark.parametrize("text", ["cifar10-lite", "runs/weights.safetensors", "a:b c", "folder/x"])
def test_what_is_no_reference(text) -> None:
    assert parsed(text) is None


def test_a_path_that_exists_is_taken_before_a_name(place, new_classifier) -> None:
    alp.save(new_classifier(), "timm:toy")
    assert isinstance(alp.load("timm:toy"), ResNetLite)

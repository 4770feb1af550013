"""A saved defence in transformers' auto classes and pipeline."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from alp.errors import CheckpointError, ConfigError
from alp.seeding import generator

pytest.importorskip("transformers")
pytestmark = pytest.mark.slow


@pytest.fixture
def folder(defended, images, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(
        "transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules")
    )
    defended.classes = images.classes
    defended.save_pretrained(tmp_path / "model", size=12)
    return tmp_path / "model"


def test_the_auto_class_loads_the_very_model(folder, defended, batch) -> None:
    from transformers import AutoModelForImageClassification

    model = AutoModelForImageClassification.from_pretrained(folder, trust_remote_code=True)
    x, y = batch
    assert not model.training
    assert list(model.config.id2label.values()) == list("abcd")
    found = model(pixel_values=x, labels=y)
    assert float(found.loss) < 1.4
    assert (found.logits.argmax(1) == y).float().mean() > 0.9
    first, second = (each(x, generator(0, "tf")) for each in (model.defence, defended))
    assert torch.equal(first, second)
    half = AutoModelForImageClassification.from_pretrained(
        folder, trust_remote_code=True, dtype=torch.float64
    )
    assert next(half.parameters()).dtype == torch.float64


def test_the_pipeline_classifies_pictures_of_any_size(folder, images) -> None:
    from transformers import pipeline

    classify = pipeline("image-classification", str(folder), trust_remote_code=True)
    pixels = images.images[0].permute(1, 2, 0).numpy()
    own = Image.fromarray(pixels)
    (best, *_) = classify(own)
    assert best["label"] == images.classes[int(images.labels[0])]
    large = own.resize((60, 40))
    (answers, _) = classify([large, own.convert("L")], top_k=4)
    assert sum(each["score"] for each in answers) == pytest.approx(1, abs=1e-5)


def test_pictures_of_several_sizes_need_one(folder) -> None:
    from alp.interop.transformers import AlpImageProcessor

    one, other = (np.zeros((size, size, 3), np.uint8) for size in (4, 5))
    with pytest.raises(ConfigError, match="size=N"):
        AlpImageProcessor()([one, other])
    with pytest.raises(ConfigError, match="uint8"):
        AlpImageProcessor()(np.zeros((4, 4, 3)))
    assert AlpImageProcessor()(one)["pixel_values"].shape == (1, 3, 4, 4)


def test_a_damaged_folder_is_refused(folder) -> None:
    from alp.interop.transformers import AlpForImageClassification

    config = json.loads((folder / "config.json").read_text())
    config["alp"]["draws"] = 9
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="another model"):
        AlpForImageClassification.from_pretrained(folder)

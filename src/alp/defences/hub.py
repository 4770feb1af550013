"""Models in the layout of the Hugging Face hub, by the hub's own mixin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
from torch import nn

from alp.config import FrameConfig, to_dict
from alp.defences.base import Defence, Model
from alp.defences.checkpoint import load_model, save
from alp.errors import AlpError, CheckpointError
from alp.files import exists, require_writable, write_json

WEIGHTS = "model.safetensors"

REMOTE = "modeling_alp.py"
"""The file that transformers runs, where it is trusted."""

REMOTE_CODE = '''"""Lets transformers load this model; alp has to be installed, from its source."""

from alp.interop.transformers import AlpConfig, AlpForImageClassification, AlpImageProcessor

__all__ = ["AlpConfig", "AlpForImageClassification", "AlpImageProcessor"]
'''

CARD = """---
{{ card_data }}
---

# {{ kind }} of alp

Load it with

```python
import alp

model = alp.{{ kind }}.from_pretrained("FOLDER_OR_REPOSITORY")
```

`config.json` has its architecture; `model.safetensors` its weights, with digests that are verified
when they are loaded. {{ parameters }} parameters. Images are float in [0,1].
{% if classifies %}
With alp installed, transformers loads it too, by the few lines of `modeling_alp.py`:

```python
from transformers import pipeline

pipeline("image-classification", "FOLDER_OR_REPOSITORY", trust_remote_code=True)("picture.png")
```
{% endif %}
"""
"""What the hub's mixin makes the card of a single model from; packages have a fuller one."""


class Carrier(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="alp",
    license="mit",
    pipeline_tag="image-classification",
    tags=["adversarial-robustness"],
    model_card_template=CARD,
):
    """One of alp's models on its way to or from the hub."""

    def __init__(self, model: Model, size: int | None = None) -> None:
        super().__init__()
        self.model = model
        self.size = size

    def _save_pretrained(self, save_directory: Path) -> None:
        save(self.model, save_directory / WEIGHTS)
        if isinstance(self.model, Defence):
            (save_directory / REMOTE).write_text(REMOTE_CODE, "utf-8")
            write_json(save_directory / "preprocessor_config.json", _processor(self))

    # The mixin's own falls back to a pickle where there are no safetensors.
    @classmethod
    def _from_pretrained(  # type: ignore[override]
        cls, *, model_id: str, config: dict[str, Any] | None = None, **where: Any
    ) -> Carrier:
        path = Path(model_id) / WEIGHTS
        if not exists(Path(model_id), Path.is_dir):
            path = Path(hf_hub_download(model_id, WEIGHTS, **where))
        elif not exists(path):
            raise CheckpointError(
                f"{model_id} has no {WEIGHTS}; save the model with save_pretrained "
                "(pickled weights are never loaded)"
            )
        model = load_model(path)
        if config is not None and config.get("alp", config) != model.describe():
            raise CheckpointError(
                f"the config.json of {model_id} describes another model than its {WEIGHTS}; "
                "save it again with save_pretrained"
            )
        return cls(model)


def save_folder(
    model: Model, folder: str | Path, *, size: int | None = None, **options: Any
) -> None:
    """Write a model in the hub's layout.

    Raises:
        ConfigError: ``size`` is no size of images.
        OutputError: the folder cannot be written.
    """
    require_writable(Path(folder), WEIGHTS, "config.json", "README.md")
    Carrier(model, size).save_pretrained(folder, **_described(model), **options)


def push(model: Model, repository: str, *, size: int | None = None, **options: Any) -> str:
    """Upload a model in the hub's layout; the address of the commit."""
    return str(Carrier(model, size).push_to_hub(repository, **_described(model), **options))


def fetch(folder_or_repository: str, **options: Any) -> Model:
    """The model in a local folder or, where there is none, in a repository of the hub.

    Raises:
        CheckpointError: there is neither, or its weights are missing or damaged.
    """
    try:
        return Carrier.from_pretrained(folder_or_repository, **options).model
    except AlpError:
        raise
    except Exception as error:  # those of the hub's client, and of its HTTP library
        reason = "".join(str(error).strip().splitlines()[:1])
        if exists(Path(folder_or_repository), Path.is_dir):
            raise CheckpointError(
                f"the folder {folder_or_repository} cannot be read ({type(error).__name__}: "
                f"{reason}); save the model in it again with save_pretrained"
            ) from error
        raise CheckpointError(
            f"there is no folder {folder_or_repository[:300]!r}, and no model of that name could "
            f"be fetched from the Hugging Face hub ({type(error).__name__}: {reason[:300]}); give "
            "a folder that save_pretrained wrote, or connect to the network"
        ) from error


def _described(model: Model) -> dict[str, Any]:
    count = sum(parameter.numel() for parameter in model.parameters())
    config, classifies = model.describe(), isinstance(model, Defence)
    words = {
        "kind": type(model).__name__,
        "parameters": f"{count:,}",
        "classifies": classifies,
    }
    if isinstance(model, Defence):
        config = _for_transformers(model, config)
    return {"config": config, "model_card_kwargs": words}


def _for_transformers(model: Defence, description: dict[str, Any]) -> dict[str, Any]:
    """alp's description of a defence inside the ``config.json`` that transformers reads."""
    module = REMOTE.removesuffix(".py")
    names = model.classes or [f"class {number}" for number in range(_count(model))]
    return {
        "model_type": "alp",
        "architectures": ["AlpForImageClassification"],
        "auto_map": {
            "AutoConfig": f"{module}.AlpConfig",
            "AutoModelForImageClassification": f"{module}.AlpForImageClassification",
        },
        "id2label": {str(number): name for number, name in enumerate(names)},
        "label2id": {name: number for number, name in enumerate(names)},
        "alp": description,
    }


def _count(model: Defence) -> int:
    """How many logits it answers with."""
    frame = model.frame or FrameConfig()
    device = next((each.device for each in model.parameters()), torch.device("cpu"))
    with torch.no_grad():
        return int(model(torch.zeros(1, 3, frame.height, frame.width, device=device)).shape[1])


def _processor(carrier: Carrier) -> dict[str, Any]:
    """How transformers brings pictures to the images of a model."""
    frame = carrier.model.frame
    if carrier.size is not None:
        frame = FrameConfig(carrier.size, carrier.size)
    return {
        "image_processor_type": "AlpImageProcessor",
        "auto_map": {"AutoImageProcessor": f"{REMOTE.removesuffix('.py')}.AlpImageProcessor"},
        "frame": None if frame is None else to_dict(frame),
    }

"""Models in the layout of the Hugging Face hub, by the hub's own mixin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
from torch import nn

from alp.defences.base import Model
from alp.defences.checkpoint import load_model, save
from alp.errors import AlpError, CheckpointError
from alp.files import exists, require_writable

WEIGHTS = "model.safetensors"

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

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def _save_pretrained(self, save_directory: Path) -> None:
        save(self.model, save_directory / WEIGHTS)

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
        if config is not None and config != model.describe():
            raise CheckpointError(
                f"the config.json of {model_id} describes another model than its {WEIGHTS}; "
                "save it again with save_pretrained"
            )
        return cls(model)


def save_folder(model: Model, folder: str | Path, **options: Any) -> None:
    """Write a model in the hub's layout.

    Raises:
        OutputError: the folder cannot be written.
    """
    require_writable(Path(folder), WEIGHTS, "config.json", "README.md")
    Carrier(model).save_pretrained(folder, **_described(model), **options)


def push(model: Model, repository: str, **options: Any) -> str:
    """Upload a model in the hub's layout; the address of the commit."""
    return str(Carrier(model).push_to_hub(repository, **_described(model), **options))


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
    words = {"kind": type(model).__name__, "parameters": f"{count:,}"}
    return {"config": model.describe(), "model_card_kwargs": words}

"""save_pretrained, from_pretrained and push_to_hub for every model of alp (extra ``hub``)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from alp.errors import AlpError, CheckpointError, install
from alp.files import expanded

if TYPE_CHECKING:
    from alp.defences.base import Model


class Pretrained:
    """The three methods of the Hugging Face hub's own mixin; importing a model does not import
    the hub's library. What is written is alp's verified safetensors; nothing is unpickled."""

    def save_pretrained(self, folder: str | Path, **options: Any) -> None:
        """Write ``model.safetensors``, ``config.json`` and a model card into ``folder``; of a
        defence also what transformers needs to load it (docs/interop.md).

        ``options`` are those of ``PyTorchModelHubMixin.save_pretrained``, and ``size``: height and
        width that transformers brings pictures to, by default what the classifier says, else
        their own.

        Raises:
            ConfigError: the classifier of a defended model is not one of alp's.
            AlpError: the extra ``hub`` is not installed.
        """
        _hub().save_folder(cast("Model", self), expanded(folder), **options)

    @classmethod
    def from_pretrained(cls, folder_or_repository: str | Path, **options: Any) -> Self:
        """The model in a local folder or, where there is none of that name, in a repository of
        the hub; in evaluation mode, on the CPU.

        ``options`` are those of ``PyTorchModelHubMixin.from_pretrained``, such as ``revision``.

        Raises:
            CheckpointError: there is no such folder or repository, its weights are missing or
                damaged, or they are of a model of another kind.
            AlpError: the extra ``hub`` is not installed.
        """
        # A name that starts with ~ is no repository's.
        place = str(folder_or_repository)
        place = str(expanded(place)) if place.startswith("~") else place
        model = _hub().fetch(place, **options)
        if not isinstance(model, cls):
            kind = type(model).__name__
            raise CheckpointError(
                f"{folder_or_repository} holds a {kind}, not a {cls.__name__}; "
                f"load it with {kind}.from_pretrained"
            )
        return model

    def push_to_hub(self, repository: str, **options: Any) -> str:
        """Upload the model with its card to ``repository``; the address of the commit.

        ``options`` are those of ``PyTorchModelHubMixin.push_to_hub``, such as ``private``.

        Raises:
            ConfigError: the classifier of a defended model is not one of alp's.
            AlpError: the extra ``hub`` is not installed.
        """
        address: str = _hub().push(cast("Model", self), repository, **options)
        return address


def _hub() -> Any:
    for module in ("huggingface_hub", "jinja2"):
        if find_spec(module) is None:
            raise AlpError(f"this needs {module}, which is not installed: {install('hub')}")
    from alp.defences import hub

    return hub

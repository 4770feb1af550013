"""The runner of an exported model: numpy and ONNX Runtime, no torch."""

from __future__ import annotations

import hashlib
import re
from functools import partial
from pathlib import Path
from typing import Any

from alp.config import class_names, digest
from alp.deploy.engine import Shapes, cores
from alp.deploy.onnx_engine import OnnxEngine
from alp.errors import CheckpointError
from alp.files import exists, expanded, file_inside, read_json, require_shape

DESCRIPTION = "export.json"
"""The file beside the models that says what they are."""

FORMAT = "alp-onnx-1"
"""Name and version of a description; another one is refused."""


class Runtime(OnnxEngine):
    """A folder that ``alp export`` wrote, as an engine.

        logits = alp.deploy.Runtime("exported").predict(images)   # float32 (B,3,H,W) in [0,1]

    Every file is checked against its digest before it is loaded. The noise is drawn here, at each
    call from the operating system's entropy unless a generator is given: forked processes draw
    different noise. ``whole.onnx``, of an export that draws inside, is for other programs: ONNX
    Runtime's own noise has 31 bits of state, which are set when a session is made.

    Raises:
        CheckpointError: the folder is no export, or a file is missing or damaged.
        ConfigError: ``threads`` is no number of threads.
        AlpError: ONNX Runtime is not installed.
    """

    def __init__(self, folder: str | Path, threads: int = 0) -> None:
        folder = expanded(folder)
        self.description = read_description(folder)
        files = self.description["files"]
        missing = [name for name in ("encoder", "draws", "decoder") if name not in files]
        if missing:
            raise CheckpointError(
                f"{folder} lacks the models whose noise is given ({', '.join(missing)}); export it "
                "again"
            )
        models = {name: partial(_verified, folder, files[name]) for name in files}
        super().__init__(_shapes(self.description, folder), models, cores(threads))
        # Loaded now: a damaged file is found before it is needed.
        self._load("encoder", "draws")

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes in the order of the logits; None where the export has none."""
        names = self.description.get("classes")
        return None if names is None else class_names(names)


def read_description(folder: Path) -> dict[str, Any]:
    """What ``export.json`` in ``folder`` says.

    Raises:
        CheckpointError: it is missing, damaged or of another format.
    """
    path = folder / DESCRIPTION
    if not exists(path):
        raise CheckpointError(f"there is no {str(path)[:300]}; make it with 'alp export'")
    described = read_json(path, CheckpointError)
    if described.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has the format {described.get('format')!r}, not {FORMAT!r}; export it again"
        )
    if described.pop("digest", None) != digest(described):
        raise CheckpointError(f"{path} is damaged: it has not its own digest; export it again")
    require_shape(described, _SHAPE, str(path), CheckpointError, "export it again")
    return described


_SHAPE: dict[str, Any] = {
    "noise": str,
    "shapes": {"size": [int], "latent": [int], "classes": int, "draws": int},
    "files": {"*": {"file": str, "sha256": str}},
}
"""What a description has to hold for the runner."""


def _shapes(described: dict[str, Any], path: Path) -> Shapes:
    held = described["shapes"]
    numbers = [*held["size"], *held["latent"], held["classes"], held["draws"]]
    if (len(held["size"]), len(held["latent"])) != (2, 3) or not all(
        1 <= each <= _LARGEST for each in numbers
    ):
        raise CheckpointError(f"{path} has impossible shapes, {held}; export it again")
    return Shapes(tuple(held["size"]), tuple(held["latent"]), held["classes"], held["draws"])


_LARGEST = 1_000_000
"""Of a side, a number of channels, classes or draws."""

_OUTSIDE = re.compile(rb"(\x08|\x88\x80*\x00)location")
"""The key, with its length, by which a tensor of an ONNX model names the file that holds it."""


def _verified(folder: Path, entry: dict[str, str]) -> bytes:
    """A file's bytes, once they are known to be those that were exported, and all of the model."""
    path = file_inside(folder, entry["file"], CheckpointError, "export it again")
    held = path.read_bytes()
    if hashlib.sha256(held).hexdigest() != entry["sha256"]:
        raise CheckpointError(
            f"{path} is damaged: its sha256 is not the one in {DESCRIPTION}; export it again"
        )
    if _OUTSIDE.search(held):
        raise CheckpointError(
            f"{path} keeps weights in another file (external data), which no digest covers; "
            "export it again, as one file"
        )
    return held

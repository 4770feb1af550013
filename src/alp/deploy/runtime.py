"""The runner of an exported model: numpy and ONNX Runtime, no torch."""

from __future__ import annotations

import hashlib
import secrets
from functools import partial
from pathlib import Path
from typing import Any

from alp.config import digest
from alp.deploy.engine import Floats, Random, Shapes, cores
from alp.deploy.onnx_engine import OnnxEngine
from alp.errors import CheckpointError, ConfigError
from alp.files import read_json

DESCRIPTION = "export.json"
"""The file beside the models that says what they are."""

FORMAT = "alp-onnx-1"
"""Name and version of a description; another one is refused."""


class Runtime(OnnxEngine):
    """A folder that ``alp export`` wrote, as an engine.

        logits = alp.deploy.Runtime("exported").predict(images)   # float32 (B,3,H,W) in [0,1]

    Every file is checked against its digest before it is loaded. Of an export whose noise is an
    input, the noise is drawn here, by default from the operating system's entropy. One that draws
    inside has nothing but ``predict``, with the draws that it was exported with; ONNX Runtime
    seeds them by 32 bits, which this class takes from the operating system.

    Raises:
        CheckpointError: the folder is no export, or a file is missing or damaged.
        ConfigError: ``threads`` is no number of threads.
        AlpError: ONNX Runtime is not installed.
    """

    def __init__(self, folder: str | Path, threads: int = 0) -> None:
        folder = Path(folder)
        self.description = read_description(folder)
        files = self.description["files"]
        models = {name: partial(_verified, folder, files[name]) for name in files}
        super().__init__(_shapes(self.description), models, cores(threads))
        self.inside = self.description["noise"] == "inside"
        # Loaded now: a damaged file is found before it is needed.
        self._load(*(["whole"] if self.inside else ["encoder", "draws"]))

    def predict(self, images: Floats, draws: int | None = None, generator: Random = None) -> Floats:
        if not self.inside:
            return super().predict(images, draws, generator)
        if draws not in (None, self.draws) or generator is not None:
            raise ConfigError(
                f"this export makes its {self.draws} draws inside, of noise of its own; export it "
                "with the noise as an input to choose them"
            )
        self.check(images)
        return self._run("whole", images=images)

    def _load(self, *names: str) -> None:
        if self.inside:
            import onnxruntime

            # It counts only before a session is made; the default is the time of day.
            onnxruntime.set_seed(secrets.randbits(31))
        super()._load(*names)

    def _run(self, name: str, **inputs: Floats) -> Floats:
        if self.inside and name != "whole":
            raise ConfigError(
                "this export draws inside and has no halves; export it with the noise as an input"
            )
        return super()._run(name, **inputs)


def read_description(folder: Path) -> dict[str, Any]:
    """What ``export.json`` in ``folder`` says.

    Raises:
        CheckpointError: it is missing, damaged or of another format.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise CheckpointError(f"there is no {path}; make it with 'alp export'")
    described = read_json(path, CheckpointError)
    if described.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has the format {described.get('format')!r}, not {FORMAT!r}; export it again"
        )
    if described.pop("digest", None) != digest(described):
        raise CheckpointError(f"{path} is damaged: it has not its own digest; export it again")
    return described


def _shapes(described: dict[str, Any]) -> Shapes:
    held = described["shapes"]
    return Shapes(tuple(held["size"]), tuple(held["latent"]), held["classes"], held["draws"])


def _verified(folder: Path, entry: dict[str, str]) -> bytes:
    """A file's bytes, once they are known to be those that were exported."""
    path = folder / entry["file"]
    if not path.is_file():
        raise CheckpointError(f"there is no {path}; export it again")
    held = path.read_bytes()
    if hashlib.sha256(held).hexdigest() != entry["sha256"]:
        raise CheckpointError(
            f"{path} is damaged: its sha256 is not the one in {DESCRIPTION}; export it again"
        )
    return held

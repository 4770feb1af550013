"""``FILE.onnx``: a classifier of which only the answers are known."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from alp.config import FrameConfig, class_names
from alp.defences.references import REFERENCES, Found, Reference
from alp.errors import AlpError, CheckpointError, install
from alp.files import exists, expanded


@REFERENCES.register(".onnx")
def open_onnx(reference: Reference) -> Found:
    """An ONNX model of one input, images (B,3,H,W), and as its first output logits or
    probabilities (B,K), run by ONNX Runtime on the CPU. It has no gradient: attackers get its
    answers alone.

    Raises:
        AlpError: ONNX Runtime is not installed.
        CheckpointError: there is no such file, it is no such model, or it takes no images.
    """
    path = expanded(reference.place)
    if not exists(path):
        raise CheckpointError(f"there is no file {path}; give an ONNX model")
    model = OnnxModel(path)
    height, width = model.shape[2], model.shape[3]
    sides = isinstance(height, int) and isinstance(width, int)
    return Found(
        model.eval(),
        FrameConfig(height, width) if sides else None,
        fixed=sides,
        classes=model.names,
        gradients=False,
        digest=bytes(model.file_digest.tolist()).hex(),
    )


@final
class OnnxModel(nn.Module):
    """An ONNX model as a module without weights of its own; a buffer holds the file's sha256, by
    which an evaluation knows it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._session = _session(path)
        given = self._session.get_inputs()
        if len(given) != 1 or len(given[0].shape) != 4 or given[0].shape[1] not in (3, None):
            shapes = [each.shape for each in given]
            raise CheckpointError(
                f"{path} takes inputs of shapes {shapes}; give a model of one input, images "
                "(B,3,H,W)"
            )
        self.shape: list[Any] = given[0].shape
        self._name = given[0].name
        self._kind = torch.float16 if "float16" in given[0].type else torch.float32
        known = self._session.get_modelmeta().custom_metadata_map.get("classes", "")
        try:
            self.names = class_names(json.loads(known)) if known else None
        except (ValueError, TypeError) as error:
            raise CheckpointError(
                f"{path} has {known[:80]!r} as the metadata 'classes'; give a JSON list of names"
            ) from error
        sha = torch.tensor(list(hashlib.sha256(path.read_bytes()).digest()), dtype=torch.uint8)
        self.register_buffer("file_digest", sha)
        self.file_digest: Tensor

    def forward(self, x: Tensor) -> Tensor:
        batch = self.shape[0] if isinstance(self.shape[0], int) else len(x)
        missing = -len(x) % batch
        filled = torch.cat([x, x[-1:].expand(missing, *x.shape[1:])]) if missing else x
        parts = [
            torch.from_numpy(self._session.run(None, {self._name: part.numpy()})[0])
            for part in torch.split(filled.detach().to("cpu", self._kind), batch)
        ]
        return torch.cat(parts)[: len(x)].to(x)

    def __deepcopy__(self, memo: dict[int, Any]) -> OnnxModel:
        return OnnxModel(self.path).eval()

    def __reduce__(self) -> Any:
        return OnnxModel, (self.path,)


def _session(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise AlpError(
            f"FILE.onnx needs onnxruntime, which is not installed: {install('onnx')}"
        ) from error
    try:
        return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # of the runtime, of many kinds
        reason = "".join(str(error).strip().splitlines()[:1])[:300]
        raise CheckpointError(
            f"{path} cannot be read as an ONNX model ({reason}); export it again"
        ) from error

"""``FILE.pt2``: a program of ``torch.export``."""

from __future__ import annotations

import hashlib
import warnings
from copy import deepcopy
from pathlib import Path
from typing import Any, Self, final

import torch
from torch import Tensor, nn

from alp.config import FrameConfig
from alp.defences.references import REFERENCES, Found, Reference
from alp.defences.references.safety import require_safe_program
from alp.errors import CheckpointError
from alp.files import exists, expanded


@REFERENCES.register(".pt2")
def open_exported(reference: Reference) -> Found:
    """The program in a file that ``torch.export.save`` wrote. It takes images of the size that it
    was exported with.

    Raises:
        CheckpointError: there is no such file, it is no such program, it takes no images, or it
            holds more than tensors and a graph.
    """
    path = expanded(reference.place)
    if not exists(path):
        raise CheckpointError(f"there is no file {path}; give one that torch.export.save wrote")
    module, shape = _loaded(path)
    height, width = shape[2], shape[3]
    sides = isinstance(height, int) and isinstance(width, int)
    return Found(
        module,
        FrameConfig(height, width) if sides else None,
        fixed=sides,
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


@final
class Program(nn.Module):
    """An exported program as a module: it has but one mode, and where it was exported for one size
    of batch, others are filled up or shared out."""

    def __init__(self, graph: nn.Module, batch: int | None, path: Path) -> None:
        """``batch``: images of every call; None where any number will do."""
        super().__init__()
        self.graph, self.batch, self.path = graph, batch, path
        for module in self.modules():
            module.training = False

    def forward(self, x: Tensor) -> Tensor:
        if self.batch is None:
            answer: Tensor = self.graph(x)
            return answer
        missing = -len(x) % self.batch
        filled = torch.cat([x, x[-1:].expand(missing, *x.shape[1:])]) if missing else x
        parts = [self.graph(part) for part in torch.split(filled, self.batch)]
        return torch.cat(parts)[: len(x)]

    def train(self, mode: bool = True) -> Self:
        """Nothing: a program's own ``train`` and ``eval`` raise."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Program:
        with warnings.catch_warnings():  # of torch, about its own code
            warnings.simplefilter("ignore", FutureWarning)
            return Program(deepcopy(self.graph, memo), self.batch, self.path)

    def __reduce__(self) -> Any:
        # A graph cannot be pickled: another process reads the file again.
        return _reopened, (self.path, self.state_dict())


def _reopened(path: Path, state: dict[str, Tensor]) -> Program:
    program, _ = _loaded(path)
    program.load_state_dict(state)
    return program


def _loaded(path: Path) -> tuple[Program, list[Any]]:
    """The program in a file, and the shape of its one input."""
    require_safe_program(path)
    try:
        program = torch.export.load(path)
    except Exception as error:  # of whatever the archive holds
        raise CheckpointError(
            f"{path} cannot be read as a program ({type(error).__name__}: {error}); write it with "
            "torch.export.save(torch.export.export(model.eval(), (images,)), path)"
        ) from error
    inputs = program.graph_signature.user_inputs
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    found = [nodes[str(name)].meta.get("val") for name in inputs if str(name) in nodes]
    if len(found) != 1 or not isinstance(found[0], Tensor) or found[0].ndim != 4:
        shapes = [list(getattr(each, "shape", ())) for each in found]
        raise CheckpointError(
            f"{path} takes inputs of shapes {shapes}; export a program of one input, images "
            "(B,3,H,W)"
        )
    shape = list(found[0].shape)
    return Program(program.module(), shape[0] if isinstance(shape[0], int) else None, path), shape

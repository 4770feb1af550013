"""What a program of ``torch.export`` may hold: tensors and a graph of torch's own operations.

``torch.export.load`` unpickles some parts of a file, evaluates the expressions of its sizes and
looks up the operations of its graph by name. Each of these could run code of whoever made the file,
so that all are looked at first.
"""

from __future__ import annotations

import ast
import json
import pickletools
import re
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from alp.errors import CheckpointError

_GLOBALS = {
    "collections OrderedDict",
    "torch FloatStorage",
    "torch HalfStorage",
    "torch BFloat16Storage",
    "torch DoubleStorage",
    "torch LongStorage",
    "torch IntStorage",
    "torch ByteStorage",
    "torch BoolStorage",
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_tensor_v2",
}
"""What the pickle of example inputs, tensors in tuples, names."""

_UNSEEN = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}
"""Operations of a pickle that name what they make in another way."""

_OPERATORS = "getitem|add|sub|mul|floordiv|truediv|mod|neg|eq|ne|lt|le|gt|ge|and_|or_|pow"

_NAMESPACES = "aten|prims|quantized|quantized_decomposed|torchvision"

_FILES = "save|from_file"
"""Operations of ``aten`` that write or map a file of any name."""

_NESTED = "wrap_with_set_grad_enabled|wrap_with_autocast|cond|while_loop|scan|map_impl"
"""Operations that call other graphs of the same program."""

_TARGET = re.compile(
    rf"(torch\.ops\.({_NAMESPACES})\.(?!({_FILES})\.)\w+\.\w+|torch\.ops\.higher_order\.({_NESTED})"
    rf"|_operator\.({_OPERATORS})|torch\.sym_\w+)"
)
"""Operations of a graph: those that compute on tensors and sizes, and nothing else."""

_FUNCTIONS = {
    *("Max", "Min", "Mod", "PythonMod", "FloorDiv", "CleanDiv", "CeilDiv", "ModularIndexing"),
    *("TruncToInt", "IntTrueDiv", "FloatTrueDiv", "PowByNatural", "Where", "Abs", "Identity"),
    *(
        "Symbol",
        "Integer",
        "Float",
        "Eq",
        "Ne",
        "Lt",
        "Le",
        "Gt",
        "Ge",
        "And",
        "Or",
        "Not",
        "oo",
        "int_oo",
        "True",
        "False",
    ),
}
"""Names in the expressions of sizes, beside the sizes themselves (``s0``, ``u1``)."""


_ASKED = {"size", "stride", "storage_offset"}
"""What a guard asks an input for."""


def require_safe_program(path: Path) -> None:
    """Refuse a file that could run code when it is loaded.

    Raises:
        CheckpointError: it is no archive of ``torch.export.save``, or holds pickled objects,
            operations that are not torch's, or an expression that is none of sizes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            fault = next(_faults(archive), None)
    except (zipfile.BadZipFile, OSError, ValueError, RecursionError, KeyError) as error:
        raise CheckpointError(
            f"{path} is no archive of torch.export.save ({error}); write it with that"
        ) from error
    if fault is not None:
        raise CheckpointError(
            f"{path} holds {fault}, which could run code when it is loaded; export the model again "
            "with this torch, in evaluation mode, or give FILE.py:FUNCTION that builds it"
        )


def _faults(archive: zipfile.ZipFile) -> Iterator[str]:
    names = archive.namelist()
    if not any(name.endswith("/archive_format") for name in names):
        yield "no archive_format, as older versions wrote,"
    for name in names:
        inside = name.partition("/")[2]
        if inside.startswith(("data/weights/", "data/constants/")):
            if inside.endswith(".json"):
                entries = json.loads(archive.read(name)).get("config", {})
                for key, each in entries.items():
                    if each.get("use_pickle") or not str(each.get("path_name")).startswith(
                        ("weight_", "tensor_")
                    ):
                        yield f"the pickled object {key!r}"
            elif inside.endswith(".pt"):
                yield f"the pickle {inside}"
        elif inside.startswith("data/sample_inputs/"):
            yield from _of_pickle(archive.read(name))
        elif inside.startswith("models/"):
            yield from _of_graph(json.loads(archive.read(name)))
        elif inside.startswith("data/aotinductor/"):
            yield f"the compiled code {inside}"


def _of_pickle(content: bytes) -> Iterator[str]:
    """What is suspicious in the example inputs, an archive of ``torch.save``."""
    if not content:
        return
    with zipfile.ZipFile(BytesIO(content)) as archive:
        for name in archive.namelist():
            if not name.endswith(".pkl"):
                continue
            for operation, argument, _ in pickletools.genops(archive.read(name)):
                named = operation.name == "GLOBAL" and argument not in _GLOBALS
                if named or operation.name in _UNSEEN:
                    yield f"the object {argument or operation.name!r} in its example inputs"


def _of_graph(value: Any) -> Iterator[str]:
    """What is suspicious in a graph: operations, and expressions of sizes."""
    if isinstance(value, list):
        for each in value:
            yield from _of_graph(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            if key == "target" and isinstance(each, str) and "inputs" in value:
                if not _TARGET.fullmatch(each):
                    yield f"the operation {each!r}"
            elif key == "expr_str" and not _is_size(str(each)):
                yield f"the expression {str(each)[:80]!r}"
            elif key == "guards_code":
                wrong = (str(one) for one in each if not _is_size(str(one), guard=True))
                yield from (f"the guard {one[:80]!r}" for one in wrong)
            else:
                yield from _of_graph(each)


def _is_size(text: str, guard: bool = False) -> bool:
    """Whether an expression is one of sizes, so that evaluating it does nothing else. A guard may
    ask the inputs, ``L['x'].size()[0] <= 64``, too."""
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError):
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda | ast.NamedExpr | ast.JoinedStr):
            return False
        if isinstance(node, ast.Subscript) and not guard:
            return False
        if isinstance(node, ast.Attribute) and not (guard and node.attr in _ASKED):
            return False
        if isinstance(node, ast.Constant):
            texts = isinstance(node.value, str) and re.fullmatch(r"\w+", node.value)
            if not (texts or isinstance(node.value, int | float)):
                return False
        if isinstance(node, ast.Name):
            known = node.id in _FUNCTIONS or (guard and node.id == "L")
            if not known and not re.fullmatch(r"[suz]\d+", node.id):
                return False
    return True

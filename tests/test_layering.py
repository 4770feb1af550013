"""The architecture, as far as a syntax tree shows it: who imports whom, and what nobody does."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import alp

SRC = Path(alp.__file__).parent
FILES = sorted(SRC.rglob("*.py"))

BASE = {
    *("errors", "seeding", "config", "files", "executors", "lazy"),
    *("progress", "registry", "usage", "version"),
}
MAY_IMPORT = {
    **dict.fromkeys(BASE, BASE),
    "attacks": BASE,
    "data": BASE,
    "records": BASE,
    "defences": BASE | {"data.quality"},
    "training": BASE | {"attacks", "data", "defences"},
    "evaluation": BASE | {"attacks", "data", "defences", "deploy", "records"},
    "deploy": BASE | {"defences"},
    "serve": BASE | {"data", "defences", "deploy"},
    "bench": BASE | {"defences", "deploy", "records"},
    "report": BASE | {"records"},
    "protection": BASE | {"attacks", "data", "defences", "evaluation", "records", "training"},
    "interop": BASE | {"attacks", "data", "defences", "records"},
}
UNRESTRICTED = {"__init__", "__main__", "cli", "experiments"}


def part_of(path: Path) -> str:
    """The package or module of ``alp`` that a file belongs to."""
    return path.relative_to(SRC).with_suffix("").parts[0]


def imported(tree: ast.AST) -> Iterator[str]:
    """Full names of everything imported, at the top, in functions and for types alike."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def dotted(node: ast.AST) -> str:
    return ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_layers_and_forbidden_things(path: Path) -> None:
    text = path.read_text()
    tree, part = ast.parse(text), part_of(path)
    names = list(imported(tree))
    if part not in UNRESTRICTED:
        allowed = {part} | MAY_IMPORT[part]
        for name in names:
            inside = name.removeprefix("alp.")
            if inside != name:
                assert any(f"{inside}.".startswith(f"{each}.") for each in allowed), name
    if part == "experiments":
        assert not any(name.startswith(("alp.cli", "alp.serve")) for name in names)
    packages = {name.split(".")[0] for name in names}
    forbidden = {"torchvision", "pickle", "dill", "joblib", "random"}
    # Nobody draws from the global generator; seeding lends it to other people's code.
    assert not packages & (forbidden - ({"random"} if part == "seeding" else set()))
    calls = {dotted(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not calls & {"torch.manual_seed", "torch.seed", "torch.load", "torch.save"}
    assert part in {"cli", "__main__"} or "print" not in calls
    assert len(text.splitlines()) <= 500


def test_every_layer_of_the_table_is_looked_at() -> None:
    """Were the files not found, the test above would pass on nothing."""
    assert {part_of(path) for path in FILES} >= set(MAY_IMPORT)


def kinds() -> set[str]:
    """Names of the classes of models, of what votes for them, of stages and of their tasks."""
    trees = [ast.parse(path.read_text()) for path in FILES]
    classes = [each for tree in trees for each in ast.walk(tree) if isinstance(each, ast.ClassDef)]
    found = {"Defence", "PurifierBase", "VoteEngine", "StageBase", "Task"}
    while more := {
        each.name
        for each in classes
        if each.name not in found and {dotted(base) for base in each.bases} & found
    }:
        found |= more
    return found | {"Model", "Stage"}


def told_apart(tree: ast.AST, names: set[str]) -> Iterator[str]:
    """Where code asks for one of the classes, by isinstance, by its type or by a pattern."""
    for node in ast.walk(tree):
        asked: list[ast.AST] = []
        if isinstance(node, ast.Call) and dotted(node.func) in ("isinstance", "issubclass"):
            asked = [node.args[1]]
        elif isinstance(node, ast.Compare) and "type(" in ast.unparse(node.left):
            asked = list(node.comparators)
        elif isinstance(node, ast.MatchClass):
            asked = [node.cls]
        said = {dotted(each).rpartition(".")[2] for one in asked for each in ast.walk(one)}
        if said & names:
            yield f"line {node.lineno}: {ast.unparse(node)}"


def test_nobody_asks_a_model_or_a_stage_for_its_class() -> None:
    """What a model can do it says itself, and a stage's task is found in the registry. Only the
    package of the defences tells its own classes apart."""
    names = kinds()
    assert names >= {"Defended", "Purifier", "Smoothed", "CompiledClassifier", "MagNetStage"}
    asked = {
        path: list(told_apart(ast.parse(path.read_text()), names))
        for path in FILES
        if part_of(path) != "defences"
    }
    assert {path: found for path, found in asked.items() if found} == {}
    code = "isinstance(x, A | b.Purifier), type(x) is Defended, issubclass(x, (int, Stage))"
    assert len(list(told_apart(ast.parse(code), names))) == 3


def test_modules_form_no_circle() -> None:
    """Neither at the top nor in functions, where a circle would not be noticed."""
    modules = {
        ".".join(("alp", *path.relative_to(SRC).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path
        for path in FILES
    }
    graph = {}
    for module, path in modules.items():
        names = list(imported(ast.parse(path.read_text())))
        found = {name if name in modules else name.rpartition(".")[0] for name in names}
        graph[module] = (found & modules.keys()) - {module}
    TopologicalSorter(graph).prepare()


def test_settings_import_no_torch() -> None:
    """``alp --help`` is made from these, and torch takes seconds."""
    names = ["bench", "config", "training", "attacks", "data", "evaluation", "deploy.runtime"]
    modules = ", ".join(["alp", *(f"alp.{name}" for name in names)])
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(SRC.parent)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)

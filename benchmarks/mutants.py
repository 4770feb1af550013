"""Which small changes of the package no test notices: mutation testing (DeMillo et al. 1978).

    python benchmarks/mutants.py [--sample 100] [--seed 0] [--kinds number] [--only attacks/apgd]

Changes one thing at a time in a copy of the tree, runs the tests that should notice with the first
failure ending the run, and lists the mutants that survive. Numbers are moved by one and doubled or
halved, comparisons lose or gain their edge, ``and`` and ``or``, ``min`` and ``max``, ``+`` and
``-``, ``*`` and ``/`` change places. Kept tools were tried first: mutmut changes no constant of a
module and nothing under a decorator, and it and cosmic-ray move numbers by one only, which 0.95 as
a bound of shares does not stand however blind the tests are.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import ast
import contextlib
import json
import multiprocessing
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = Path("src/alp")
SECONDS = 240
"""What the tests of a mutant may take; one that never ends is noticed too."""

_ATTACKS = ("attacks/test_linear_optima.py", "attacks/test_attack_contracts.py")
_LIBRARY = ("evaluation/test_counted_calls.py", "attacks/library")
_CHECKS = (
    "evaluation/test_check_thresholds.py",
    "evaluation/test_checks_one_by_one.py",
    "evaluation/test_checks.py",
)
_TASKS = (
    "evaluation/test_estimates.py",
    "evaluation/test_counted_calls.py",
)
_CLAIMS = ("experiments/test_claim_thresholds.py", "experiments/test_judging.py")
TESTS: dict[str, tuple[str, ...]] = {
    "attacks/apgd.py": ("attacks/test_apgd_steps.py", "attacks/test_apgd.py", *_ATTACKS),
    "attacks/base.py": ("attacks/test_attack_settings.py", *_ATTACKS),
    "attacks/gradients.py": (
        "attacks/test_expectation.py",
        "attacks/test_input_gradient.py",
        *_ATTACKS,
    ),
    "attacks/lbfgs.py": ("attacks/test_lbfgs_search.py", "attacks/test_lbfgs.py"),
    "attacks/losses.py": ("attacks/test_dlr.py", *_ATTACKS),
    "attacks/pgd.py": (
        "attacks/test_attack_settings.py",
        "evaluation/test_counted_calls.py",
        *_ATTACKS,
    ),
    "attacks/square.py": ("attacks/test_square.py", *_ATTACKS),
    "attacks/threats.py": ("attacks/test_threats.py", "attacks/test_random_start.py", *_ATTACKS),
    "attacks/library/*.py": _LIBRARY,
    "evaluation/checks/*.py": _CHECKS,
    "evaluation/adaptive.py": _TASKS,
    "evaluation/knowledge.py": ("evaluation/test_counted_draws.py", *_TASKS),
    "evaluation/suites.py": _TASKS,
    "evaluation/tasks.py": _TASKS,
    "evaluation/verdict.py": ("evaluation/test_verdict.py",),
    "records/conclusion.py": ("records/test_conclusion.py", "records/test_summary.py"),
    "records/statistics.py": (
        "records/test_statistics_bounds.py",
        "records/test_statistics.py",
        "records/test_bench_statistics.py",
    ),
    "experiments/claims.json": _CLAIMS,
    "experiments/claims.py": ("experiments/test_claims.py",),
    "experiments/findings.py": _CLAIMS,
    "experiments/measures/*.py": ("experiments/test_judging.py",),
}
"""Files of the package to the tests that should notice; the golden files come before them."""

COMPARED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
SWAPPED = {"+": "-", "-": "+", "*": "/", "/": "*", "and": "or", "or": "and"}
EXTREMES = {
    **{"min": "max", "minimum": "maximum", "amin": "amax", "clamp_min": "clamp_max"},
    **{"max": "min", "maximum": "minimum", "amax": "amin", "clamp_max": "clamp_min"},
}
_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.And: "and", ast.Or: "or"}


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    path: str
    """The file, inside the package."""
    tests: tuple[str, ...]
    """What should notice."""
    kind: str
    """number, comparison, operator or extreme."""
    start: int
    """Where the changed text begins, in characters."""
    old: str
    """The text."""
    new: str
    """What stands in its place."""

    def apply(self, text: str) -> str:
        """The file with the change."""
        end = self.start + len(self.old)
        assert text[self.start : end] == self.old
        return text[: self.start] + self.new + text[end:]

    def words(self) -> str:
        """The change in a line."""
        text = (ROOT / PACKAGE / self.path).read_text("utf-8")
        line = text[: self.start].count("\n")
        column = self.start - text.rfind("\n", 0, self.start)
        where = f"{self.path}:{line + 1}:{column}"
        return f"{where}  {self.old} -> {self.new}  {text.splitlines()[line].strip()}"


def mutants() -> list[Mutant]:
    """Every mutant of every file."""
    return [
        Mutant(str(path.relative_to(ROOT / PACKAGE)), tests, *change)
        for pattern, tests in TESTS.items()
        for path in sorted((ROOT / PACKAGE).glob(pattern))
        for change in changes(path.read_text("utf-8"), path.suffix)
    ]


def changes(text: str, suffix: str) -> Iterator[tuple[str, int, str, str]]:
    """Kind, place, old and new text of every change."""
    if suffix == ".json":
        for found in re.finditer(r"(?<=: )-?\d+(\.\d+)?(?=[,}])", text):
            yield from _numbers(found.start(), found.group(), json.loads(found.group()))
        return
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def place(line: int, column: int) -> int:
        """Characters before a place that the syntax tree gives in bytes of a line."""
        whole = text[starts[line - 1] : starts[line]].encode()
        return starts[line - 1] + len(whole[:column].decode())

    def span(node: ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return place(node.lineno, node.col_offset), place(node.end_lineno, node.end_col_offset)

    def between(left: ast.expr, right: ast.expr, kind: str, old: str, new: str):
        start, end = span(left)[1], span(right)[0]
        yield kind, start + text[start:end].index(old), old, new

    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            start, end = span(node)
            yield from _numbers(start, text[start:end], node.value)
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for left, operator, right in zip(sides, node.ops, node.comparators, strict=False):
                old = ast.unparse(ast.Compare(ast.Name("a"), [operator], [ast.Name("b")]))[2:-2]
                if old in COMPARED:
                    yield from between(left, right, "comparison", old, COMPARED[old])
        elif isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in _OPERATORS:
            old = _OPERATORS[type(node.op)]
            sides = [node.left, node.right] if isinstance(node, ast.BinOp) else node.values
            for left, right in pairwise(sides):
                yield from between(left, right, "operator", old, SWAPPED[old])
        elif isinstance(node, ast.Call):
            end = span(node.func)[1]
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in EXTREMES:
                yield "extreme", end - len(name), name, EXTREMES[name]


def _numbers(start: int, old: str, value: float) -> Iterator[tuple[str, int, str, str]]:
    near = {value + 1, value - 1} if isinstance(value, int) else {value * 2, value / 2}
    if value == 0:
        near = {value + 1}
    elif isinstance(value, int) and value > 2:
        near |= {value * 2, value // 2}
    for other in sorted(near):
        yield "number", start, old, repr(other)


def _tested(tree: Path, tests: Sequence[str], quiet: bool) -> None:
    """In a process of its own: exits with 0 where every test passes."""
    os.chdir(tree)
    sys.path.insert(0, str(tree / "src"))
    os.environ["PYTHONPATH"] = str(tree / "src")  # of processes that tests start
    with contextlib.ExitStack() as stack:
        if quiet:
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        options = ["-x", "-q", "-p", "no:cacheprovider", "--timeout=100"]
        sys.exit(pytest.main([*options, *(f"tests/{name}" for name in ("golden", *tests))]))


def survives(mutant: Mutant, tree: Path) -> bool:
    """Whether every test passes on the changed tree."""
    path = tree / PACKAGE / mutant.path
    text = path.read_text("utf-8")
    path.write_text(mutant.apply(text), "utf-8")
    try:
        return passes(tree, mutant.tests)
    finally:
        path.write_text(text, "utf-8")


def passes(tree: Path, tests: Sequence[str], seconds: float = SECONDS, quiet: bool = True) -> bool:
    """Whether the tests pass, in time."""
    fork = multiprocessing.get_context("fork")
    process = fork.Process(target=_tested, args=(tree, tests, quiet))
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
    return process.exitcode == 0


def main(arguments: Sequence[str] | None = None) -> list[Mutant]:
    """The mutants that survive."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sample", type=int, default=100, help="mutants to try; 0 for all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default="number", help="separated by commas, or all")
    parser.add_argument("--only", default="", help="part of a file's name")
    options = parser.parse_args(arguments)
    kinds = options.kinds.split(",")
    chosen = [
        each
        for each in mutants()
        if (each.kind in kinds or kinds == ["all"]) and options.only in each.path
    ]
    print(f"{len(chosen)} mutants: {dict(Counter(each.kind for each in chosen))}")
    if options.sample and options.sample < len(chosen):
        chosen = random.Random(options.seed).sample(chosen, options.sample)
    # Imported before the fork: every mutant would wait for them.
    import foolbox
    import hypothesis
    import pyautoattack
    import scipy.optimize
    import torch

    torch.set_num_threads(1)
    assert all((foolbox, hypothesis, pyautoattack, scipy.optimize)), "imported for the children"
    left = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in ("src", "tests", "docs", "benchmarks", "results"):
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, tree / name)
        tests = dict.fromkeys(name for each in chosen for name in each.tests)
        assert passes(tree, list(tests), 10 * SECONDS, quiet=False), "red as it is"
        # A changed file can have the size and the second of one whose bytecode is kept.
        sys.dont_write_bytecode = True
        for number, each in enumerate(chosen, 1):
            start = time.perf_counter()
            alive = survives(each, tree)
            left += [each] * alive
            outcome = "SURVIVES" if alive else "noticed"
            print(
                f"{number}/{len(chosen)} {outcome} {time.perf_counter() - start:.0f} s  "
                f"{each.words()}",
                flush=True,
            )
    print(f"{len(left)} of {len(chosen)} survive")
    return left


if __name__ == "__main__":
    main()

"""The mutation runner changes what it says, one thing at a time, and knows its tests."""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("pyautoattack")

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutants", ROOT / "benchmarks" / "mutants.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutants"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


SOURCE = '''"""Of 3 steps."""
def f(x: int = 1) -> float:
    if 0 < x <= 2 and "é" != x:
        return max(x, (x + 0.5) * 4)
    return 0
'''


def test_every_number_comparison_operator_and_extreme_is_changed(script) -> None:
    found = {(kind, old, new) for kind, _, old, new in script.changes(SOURCE, ".py")}
    assert found == {
        *(("number", "1", new) for new in ("0", "2")),
        *(("number", "2", new) for new in ("1", "3")),
        *(("number", "4", new) for new in ("2", "3", "5", "8")),
        *(("number", "0.5", new) for new in ("0.25", "1.0")),
        ("number", "0", "1"),
        ("comparison", "<", "<="),
        ("comparison", "<=", "<"),
        ("comparison", "!=", "=="),
        ("operator", "and", "or"),
        ("operator", "+", "-"),
        ("operator", "*", "/"),
        ("extreme", "max", "min"),
    }


def test_a_mutant_differs_in_one_place_and_can_be_read(script) -> None:
    texts = {}
    for mutant in script.mutants()[::20]:
        path = ROOT / script.PACKAGE / mutant.path
        text = texts.setdefault(path, path.read_text("utf-8"))
        changed = mutant.apply(text)
        assert len(changed) - len(text) == len(mutant.new) - len(mutant.old)
        assert changed != text
        (json.loads if path.suffix == ".json" else ast.parse)(changed)
        assert mutant.path in mutant.words()


def test_every_pattern_names_files_and_tests(script) -> None:
    for pattern, tests in script.TESTS.items():
        assert list((ROOT / script.PACKAGE).glob(pattern)), pattern
        for name in tests:
            assert (ROOT / "tests" / name).exists(), name


@pytest.mark.parametrize("alive", [True, False])
def test_a_mutant_survives_where_no_test_fails(script, tmp_path, alive: bool) -> None:
    package, tests = tmp_path / script.PACKAGE, tmp_path / "tests" / "golden"
    package.mkdir(parents=True)
    tests.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (package / "one.py").write_text("ONE = 1\n")
    wanted = "ONE" if alive else "ONE = 1"
    (tests / "test_one.py").write_text(
        f"from pathlib import Path\n"
        f"def test_one():\n"
        f"    assert {wanted!r} in Path({str(package / 'one.py')!r}).read_text()\n"
    )
    mutant = script.Mutant("one.py", (), "number", 6, "1", "2")
    assert script.survives(mutant, tmp_path) is alive
    assert (package / "one.py").read_text() == "ONE = 1\n"

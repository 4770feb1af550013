"""Registries: names read from the sources, members imported when they are asked for, members of
packages outside the tree."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from alp.errors import AlpError, UnknownNameError, choose
from alp.registry import Registry

SHIP = """
from harbour import SHIPS

@SHIPS.register({arguments})
class {kind}:
    pass
"""


@pytest.fixture
def harbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A registry whose package has three modules, one with a member whose arguments span lines."""
    text = "from alp.registry import Registry\nSHIPS = Registry('SHIPS', 'harbour', 'alp.ships')\n"
    barge = '\n    "barge", order=1, summary="flat"\n'
    modules = {
        "__init__": text,
        "cutter": SHIP.format(arguments='"cutter", order=2', kind="Cutter"),
        "barge": SHIP.format(arguments=barge, kind="Barge"),
        "yawl": SHIP.format(arguments='"ark", order=2', kind="Yawl"),
    }
    (tmp_path / "harbour").mkdir()
    for stem, content in modules.items():
        (tmp_path / "harbour" / f"{stem}.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    from harbour import SHIPS

    yield SHIPS
    for name in [name for name in sys.modules if name.startswith("harbour")]:
        del sys.modules[name]


def test_names_are_listed_in_order_without_an_import(harbour: Registry) -> None:
    assert list(harbour) == ["barge", "ark", "cutter"]
    assert len(harbour) == 3
    assert "barge" in harbour
    assert "raft" not in harbour
    assert harbour.summary("barge") == "flat"
    assert not any(name.startswith("harbour.") for name in sys.modules)


def test_one_look_up_imports_one_module(harbour: Registry) -> None:
    assert harbour["ark"].__name__ == "Yawl"
    assert [name for name in sys.modules if name.startswith("harbour.")] == ["harbour.yawl"]
    assert harbour.name_of(harbour["ark"]) == "ark"
    assert harbour.name_of(Registry) is None


def test_unknown_name(harbour: Registry) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown ship 'raft'.*ark, barge, cutter"):
        choose(harbour, "raft", "ship")
    with pytest.raises(KeyError, match="raft"):
        harbour["raft"]


def test_two_modules_of_one_name(harbour: Registry, tmp_path: Path) -> None:
    twin = SHIP.format(arguments='"cutter"', kind="Twin")
    (tmp_path / "harbour" / "twin.py").write_text(twin)
    with pytest.raises(AlpError, match=r"harbour.cutter and harbour.twin are both called 'cutter'"):
        list(harbour)


def test_a_decorator_does_not_replace_a_member(harbour: Registry) -> None:
    taken = harbour["barge"]
    with pytest.raises(AlpError, match="both called 'barge'"):
        harbour.register("barge")(Registry)
    assert harbour["barge"] is taken
    assert harbour.register("barge")(taken) is taken


def test_a_decorator_in_another_place(harbour: Registry) -> None:
    harbour.register("raft")(Registry)
    assert list(harbour) == ["barge", "ark", "cutter", "raft"]
    assert harbour["raft"] is Registry


def test_a_package_outside_the_tree(harbour: Registry, outside) -> None:
    outside(harbour, "raft", "shipyard:Raft", "class Raft: pass")
    assert list(harbour) == ["barge", "ark", "cutter", "raft"]
    assert harbour.summary("raft") == "from shipyard:Raft"
    assert "shipyard" not in sys.modules
    from shipyard import Raft

    assert harbour.name_of(Raft) == "raft"
    assert harbour["raft"] is Raft


@pytest.mark.parametrize("taken", ["barge", "raft"])
def test_a_package_whose_name_is_taken(harbour: Registry, outside, taken: str) -> None:
    outside(harbour, "raft", "shipyard:Raft", "class Raft: pass")
    outside(harbour, taken, "boatyard:Other", "class Other: pass")
    with pytest.raises(AlpError, match=f"boatyard:Other.*both called '{taken}'.*uninstall"):
        list(harbour)


def test_a_package_that_cannot_be_imported(harbour: Registry, outside) -> None:
    outside(harbour, "raft", "shipyard:Raft", "raise RuntimeError('no dock')")
    with pytest.raises(AlpError, match=r"'shipyard:Raft'.*RuntimeError: no dock.*repair"):
        harbour["raft"]

"""A command is one file: in this package, or in another one that is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import alp
from alp.cli import COMMANDS
from alp.registry import Registry

COMMAND = '''
"""A command."""
from dataclasses import dataclass
from alp.cli import COMMANDS

@dataclass(frozen=True)
class Settings:
    """Greet somebody."""
    whom: str = "world"
    """Who is greeted."""

@COMMANDS.register(
    "greet",
    order=99,
    summary="greet somebody (once)",
)
def run(settings: Settings) -> None:
    from alp.cli.console import say
    say(f"hello {settings.whom}")
'''


def test_another_package_adds_a_command_by_an_entry_point(tmp_path: Path) -> None:
    (tmp_path / "greetings.py").write_text(COMMAND)
    about = tmp_path / "greetings-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: greetings\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[alp.commands]\ngreet = greetings:run\n")
    path = os.pathsep.join([str(tmp_path), str(Path(alp.__file__).parents[1])])

    def run(*arguments: str) -> str:
        line = [sys.executable, "-m", "alp", *arguments]
        environment = os.environ | {"PYTHONPATH": path}
        return subprocess.run(line, env=environment, text=True, stdout=subprocess.PIPE).stdout

    assert "greet      from greetings:run" in run("--help")
    assert "Who is greeted. (default: world)" in run("greet", "--help")
    assert run("greet", "--whom", "you") == "hello you\n"


def test_a_file_of_the_package_is_a_command(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "commands").mkdir()
    (tmp_path / "commands" / "__init__.py").write_text("")
    (tmp_path / "commands" / "greet.py").write_text(COMMAND)
    found: Registry[object] = Registry("COMMANDS", "commands", "nobody.adds")
    assert list(found) == ["greet"]
    assert found.summary("greet") == "greet somebody (once)"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does(name: str) -> None:
    summary = COMMANDS.summary(name)
    assert summary
    assert summary[0].islower()
    assert len(summary) < 80

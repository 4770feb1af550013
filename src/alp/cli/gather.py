"""``alp gather``: the record of what several shares have done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from alp.cli import COMMANDS, settings_of
from alp.cli.common import Spread, Started
from alp.cli.configuration import options_text, read_options
from alp.cli.settings import POSITIONAL, WRITTEN
from alp.data import DATASETS
from alp.errors import ConfigError
from alp.executors.shares import Share
from alp.files import write_atomically

SHARED = ("evaluate", "certify", "reproduce")
"""The commands that have shares."""

_FILE = "shares.yaml"


@dataclass(frozen=True, kw_only=True)
class Settings(Started):
    """Collect what shares have done in a folder, do what is missing, and print what the command
    without --share prints. The record is the one that a single process makes."""

    folder: Path = field(metadata=POSITIONAL | WRITTEN)
    """The folder that the shares were given as --out."""


@COMMANDS.register("gather", order=3, summary="collect the shares of an evaluation")
def run(settings: Settings) -> None:
    """Run the command of the shares without a share."""
    path = settings.folder / _FILE
    if not path.is_file():
        raise ConfigError(
            f"{settings.folder} holds no {_FILE}, which commands with --share write; give their "
            "folder"
        )
    options = read_options(path)
    (command,) = options.pop("command", ["none"])
    if command not in SHARED:
        raise ConfigError(f"{path} names the command {command!r}; it has to be one with shares")
    asked = settings_of(command, *_arguments(options), "--out", str(settings.folder))
    own = {each.name: getattr(settings, each.name) for each in fields(Started)}
    own["threads"] = own["threads"] or asked.threads
    chosen = replace(asked, **own, share="all")
    COMMANDS[command](chosen)


def remember_command(command: str, settings: Any, share: Share | None) -> None:
    """Write down what ``alp gather`` has to do, where the command does a share."""
    if share is None:
        return
    left_out = {each.name for each in fields(Spread) if each.name != "threads"} | {"out"}
    chosen = {
        each.name: _whole(each.name, getattr(settings, each.name))
        for each in fields(settings)
        if each.name not in left_out
    }
    text = options_text({"command": command, **_plain(chosen)})
    write_atomically(settings.out / _FILE, lambda path: path.write_text(text, "utf-8"))


def show_shares(as_json: bool, told: Sequence[str], folder: Path) -> None:
    """Say that the share is done."""
    from alp.cli.console import show

    value = {"shares": list(told), "folder": str(folder)}
    show(as_json, value, *told, f"when all shares are done: alp gather {folder}")


def _arguments(options: dict[str, list[str]]) -> Iterator[str]:
    for name, texts in options.items():
        if texts == ["true"] and "." not in name:
            yield f"--{name}"
        elif texts != ["false"] or "." in name:
            yield f"--{name}"
            yield from texts


def _whole(name: str, value: Any) -> Any:
    """A value that means the same in another folder."""
    if isinstance(value, tuple):
        return [_whole(name, each) for each in value]
    is_folder = name == "data" and value not in DATASETS
    if isinstance(value, Path) or is_folder:
        return str(Path(value).absolute()) if Path(value).exists() else str(value)
    return value


def _plain(value: Any) -> Any:
    """Names to values, without those that are not given."""
    if is_dataclass(value):
        value = {each.name: getattr(value, each.name) for each in fields(value)}
    if isinstance(value, dict):
        plain = {name: _plain(each) for name, each in value.items()}
        return {name: each for name, each in plain.items() if each not in (None, [], {})}
    return list(value) if isinstance(value, tuple) else value

"""Experiments from their protocol to their records, their tables and their page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alp.config import to_dict
from alp.errors import ConfigError, choose
from alp.evaluation.records import KIND_ROBUSTNESS, Record
from alp.files import read_json, write_json
from alp.paper import EXPERIMENTS
from alp.paper.claims import published
from alp.paper.lab import Lab, Report
from alp.paper.page import write_page
from alp.paper.protocol import Protocol
from alp.paper.table import section_of, table
from alp.report.figures import FIGURES
from alp.report.sections import Published, Section
from alp.training.processes import is_first_process


@dataclass(frozen=True)
class Item:
    """A finished experiment."""

    records: list[Record]
    """The raw results."""
    caption: str
    """What its figure shows; empty where it has none."""
    section: Section | None
    """The records as a table; None where they are of a kind that has none."""
    table: dict[str, Any] | None
    """What the item's ``table.json`` holds."""


@dataclass(frozen=True)
class Reproduced:
    """Finished experiments."""

    items: dict[str, Item]
    """Name to what it made."""
    published: Published
    """The published values beside the table."""
    report: Path
    """The page."""


def reproduce(
    names: Sequence[str],
    protocol: Protocol,
    folder: Path,
    report: Report = lambda what, done, total, detail: None,
) -> Reproduced:
    """Run the experiments ``names``, all where there is none, in ``folder``: ``models``, shared by
    all; for each item a folder of its name with ``records`` and, where it has one, ``table.json``;
    and ``report.html`` of all records that are there.

    Killed at any point and called again it goes on without repeating what is done, to the same
    records. The folder may be used again with more trials, and for other items.

    Args:
        report: called with (what is being done, finished images, all images, detail).

    Raises:
        UnknownNameError: no such experiment.
        ConfigError: the folder holds experiments under another protocol.
        AlpError: data, models or records are damaged or missing.
    """
    chosen = {name: choose(EXPERIMENTS, name, "experiment") for name in names or EXPERIMENTS}
    _claim_folder(folder, protocol)
    claims = published(protocol.dataset, protocol.knowledge)
    items = {}
    for name, experiment in chosen.items():
        records = experiment(Lab(folder, name, protocol, report))
        items[name] = _item(name, records, protocol, claims)
        if is_first_process() and items[name].table:
            write_json(folder / name / "table.json", items[name].table)
    if is_first_process():
        write_page(folder)
    return Reproduced(items, claims, folder / "report.html")


def _item(name: str, records: list[Record], protocol: Protocol, claims: Published) -> Item:
    caption = FIGURES[name].caption(records) if name in FIGURES else ""
    if {record.kind for record in records} != {KIND_ROBUSTNESS}:
        return Item(records, caption, None, None)
    section = section_of(records, claims)
    content = {"experiment": name, "scale": protocol.scale, "seed": protocol.seed}
    return Item(records, caption, section, content | table(section, claims))


def _claim_folder(folder: Path, protocol: Protocol) -> None:
    """Keep the protocol in the folder, and refuse a folder with another one.

    Where it runs and where weights lie may differ, and trials may be added; fewer would leave
    records of the others.
    """
    free = ("engine", "weights")
    settings = {key: value for key, value in to_dict(protocol).items() if key not in free}
    wanted = {**settings, "data": protocol.dataset}
    path = folder / "protocol.json"
    if path.exists():
        found = read_json(path, ConfigError)
        for key, value in wanted.items():
            grown = key == "trials" and isinstance(found.get(key), int) and found[key] <= value
            if found.get(key) != value and not grown:
                raise ConfigError(
                    f"{folder} holds experiments with {key} {found.get(key)!r}, not {value!r}; "
                    "give another folder, or the same protocol"
                )
    if is_first_process():
        write_json(path, wanted)

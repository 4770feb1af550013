"""Experiments from their protocol to their records, their tables and their page.

The page of any records beside the paper: needs neither model nor data, and no torch.

An experiment's table as data: measurements and published values, from records alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alp.config import to_dict
from alp.errors import ConfigError, RecordError, choose
from alp.executors import is_first_process
from alp.executors.shares import ShareDone
from alp.experiments import EXPERIMENTS
from alp.experiments.claims import published, readings
from alp.experiments.findings import judge
from alp.experiments.overview import overview
from alp.experiments.protocol import Protocol
from alp.experiments.workspace import Placement, Report, Workspace
from alp.files import read_json, write_json
from alp.records import KIND_ROBUSTNESS, Record
from alp.report import Written, write_report
from alp.report.figures import FIGURES
from alp.report.tables import Published, Section, sections


def write_page(folder: Path, out: Path | None = None, title: str | None = None) -> Written:
    """Make the page of every record below ``folder``, with the paper's claims where it has records
    of them, at ``out``, by default ``folder/report.html``. Whoever makes it, from the same records
    it has the same bytes.

    Raises:
        RecordError: there is no such folder.
        AlpError: jinja2 or matplotlib is not installed.
    """
    return write_report(
        folder,
        out or folder / "report.html",
        title=title,
        published=published,
        judge=judge,
        explain=overview,
        readings=readings(),
    )


def section_of(records: Sequence[Record], published: Published) -> Section:
    """The records as one table: published rows first, then in the order of the records.

    Raises:
        RecordError: there is none, or they are of several protocols.
    """
    names = dict.fromkeys([*published, *(record.name for record in records)])
    order = {name: published.get(name, {}) for name in names}
    parts, refused = sections(records, order)
    if refused:
        raise refused[0]
    if len(parts) != 1:
        raise RecordError(f"the records follow {len(parts)} protocols; a table has one")
    return parts[0]


def table(section: Section, published: Published) -> dict[str, Any]:
    """The table as JSON values.

    It holds no time of day and no latency, so that a repetition gives the same bytes.

    Returns:
        ``protocol`` (data, digest, images, threat, attack, knowledge), ``rows`` and ``warnings``.
        A row has ``name``, ``draws``, ``trials``; ``clean``, ``worst`` and under ``robust`` each
        level: ``value``, ``low``, ``high`` and ``sd`` over trials, in [0,1]; ``psnr``, ``ssim``
        and ``sigma``: ``value`` and ``sd``; and ``published``, column to published value.
    """
    return {
        "protocol": section.protocol | {"knowledge": section.knowledge},
        "rows": [_row(row, published.get(row["name"], {})) for row in section.rows],
        "warnings": section.warnings,
    }


def _row(row: Mapping[str, Any], claims: Mapping[str, float]) -> dict[str, Any]:
    left_out = ("latency_ms", "warnings", "images")
    measured = {key: value for key, value in row.items() if key not in left_out}
    return measured | {"published": dict(claims)}


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
    placement: Placement | None = None,
) -> Reproduced:
    """Run the experiments ``names``, all where there is none, in ``folder``: ``models``, shared by
    all; for each item a folder of its name with ``records`` and, where it has one, ``table.json``;
    and ``report.html`` of all records that are there.

    Killed at any point and called again it goes on without repeating what is done, to the same
    records. The folder may be used again with more trials, and for other items.

    Args:
        report: called with (what is being done, finished images, all images, detail).
        placement: where evaluations run, and which share of them; by default all, in this process.

    Raises:
        ShareDone: the share is done; there are no tables and no page yet.
        UnknownNameError: no such experiment.
        ConfigError: the folder holds experiments under another protocol.
        AlpError: data, models or records are damaged or missing.
    """
    chosen = {name: choose(EXPERIMENTS, name, "experiment") for name in names or EXPERIMENTS}
    _claim_folder(folder, protocol)
    claims = published(protocol.dataset, protocol.knowledge)
    items, placement = {}, placement or Placement()
    for name, experiment in chosen.items():
        try:
            records = experiment(Workspace(folder, name, protocol, report, placement))
        except ShareDone as waits:  # for what the first share trains
            placement.told.append(str(waits))
            continue
        if placement.share is not None:
            continue
        items[name] = _item(name, records, protocol, claims)
        if is_first_process() and items[name].table:
            write_json(folder / name / "table.json", items[name].table)
    if placement.share is not None:
        raise ShareDone(
            "\n".join(placement.told) or f"share {placement.share} is done, and so are the others"
        )
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

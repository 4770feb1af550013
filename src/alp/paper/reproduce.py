"""One experiment from its protocol to its table and its page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alp.config import to_dict
from alp.errors import ConfigError, choose
from alp.evaluation.records import Record
from alp.files import read_json, write_json
from alp.paper import EXPERIMENTS
from alp.paper.claims import published
from alp.paper.lab import Lab, Report
from alp.paper.protocol import Protocol
from alp.paper.table import section_of, table
from alp.report import write_report
from alp.report.sections import Published, Section
from alp.training.processes import is_first_process


@dataclass(frozen=True)
class Reproduced:
    """A finished experiment."""

    records: list[Record]
    """The raw results, a record for each row and trial."""
    section: Section
    """The same as a table."""
    published: Published
    """The published values beside it."""
    table: dict[str, Any]
    """What ``table.json`` holds."""
    report: Path
    """The page."""


def reproduce(
    name: str,
    protocol: Protocol,
    folder: Path,
    report: Report = lambda what, done, total, detail: None,
) -> Reproduced:
    """Run experiment ``name`` in ``folder``: models, records, ``table.json``, ``report.html``.

    Killed at any point and called again it goes on without repeating what is done, to the same
    table. The folder may be used again with more trials.

    Args:
        report: called with (what is being done, finished images, all images, detail).

    Raises:
        UnknownNameError: no such experiment.
        ConfigError: the folder holds the experiment under another protocol.
        AlpError: data, models or records are damaged or missing.
    """
    experiment = choose(EXPERIMENTS, name, "experiment")
    _claim_folder(folder, name, protocol)
    records = experiment(Lab(folder, protocol, report))
    claims = published(protocol.dataset, protocol.knowledge)
    section = section_of(records, claims)
    content = {"experiment": name, "scale": protocol.scale, "seed": protocol.seed}
    content |= table(section, claims)
    page = folder / "report.html"
    if is_first_process():
        write_json(folder / "table.json", content)
        title = f"{name.capitalize()} on {protocol.dataset}, scale {protocol.scale}"
        write_report(folder / "records", page, title=title, published=claims)
    return Reproduced(records, section, claims, content, page)


def _claim_folder(folder: Path, name: str, protocol: Protocol) -> None:
    """Keep the protocol in the folder, and refuse a folder with another one.

    Where it runs may differ, and trials may be added; fewer would leave records of the others.
    """
    settings = {key: value for key, value in to_dict(protocol).items() if key != "engine"}
    wanted = {"experiment": name, **settings, "data": protocol.dataset}
    path = folder / "protocol.json"
    if path.exists():
        found = read_json(path, ConfigError)
        for key, value in wanted.items():
            grown = key == "trials" and isinstance(found.get(key), int) and found[key] <= value
            if found.get(key) != value and not grown:
                raise ConfigError(
                    f"{folder} holds this experiment with {key} {found.get(key)!r}, not {value!r}; "
                    "give another folder, or the same protocol"
                )
    if is_first_process():
        write_json(path, wanted)

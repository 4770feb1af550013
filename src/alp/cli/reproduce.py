"""``alp reproduce``: an experiment of the paper, from pixels to its table and its page."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

from alp.cli.selection import POSITIONAL, among
from alp.paper import EXPERIMENTS
from alp.paper.protocol import Protocol


@dataclass(frozen=True, kw_only=True)
class Settings(Protocol):
    """Run an experiment of the paper: train, attack, purify and evaluate what is missing in the
    folder, print the table and write table.json and report.html. hierarchy is the paper's Table
    II. Interrupted, the same command goes on where it stopped."""

    experiment: str = field(metadata=POSITIONAL | among(EXPERIMENTS))
    """Which experiment."""
    out: Path
    """Folder for models, records, table.json and report.html."""
    json: bool = False
    """Print JSON."""


def run(settings: Settings) -> None:
    """Run the experiment."""
    values = {each.name: getattr(settings, each.name) for each in fields(Protocol)}
    show_experiment(settings.experiment, Protocol(**values), settings.out, json=settings.json)


def show_experiment(name: str, protocol: Protocol, folder: Path, *, json: bool) -> None:
    """Run an experiment with a progress bar, and print what came out."""
    from alp.cli.console import progress, quieten_engine, say, say_json
    from alp.cli.tables import show_section, with_latency
    from alp.paper.reproduce import reproduce

    quieten_engine()
    with progress() as show:
        done = reproduce(name, protocol, folder, show)
    if json:
        rows = [with_latency(row, done.records) for row in done.table["rows"]]
        say_json(done.table | {"rows": rows, "report": str(done.report)})
        return
    show_section(done.section, done.published)
    say(f"report     {done.report}")

"""``alp report``: any set of records as one page."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from alp.cli import COMMANDS
from alp.cli.settings import POSITIONAL, Printed
from alp.files import require_writable


@dataclass(frozen=True, kw_only=True)
class Settings(Printed):
    """Make one HTML page of every record below a folder: verdicts and their checks, tables,
    figures, and the paper's claims beside what was measured. It needs no model and no data; the
    page needs nothing else. The figures lie beside it as SVG, PDF and PNG. A damaged record is
    refused, and the others are shown."""

    folder: Path = field(metadata=POSITIONAL)
    """Folder with the records, in folders of any depth."""
    out: Path | None = None
    """The page; by default report.html in the folder."""
    title: str | None = None
    """Its title; by default it names the data."""


@COMMANDS.register("report", order=9, summary="make one page of every record in a folder")
def run(settings: Settings) -> None:
    """Make the page, and say what it shows."""
    from alp.cli.console import show, warn
    from alp.experiments.reproduce import write_page
    from alp.report.claims import totals
    from alp.report.format import count

    page = settings.out or settings.folder / "report.html"
    require_writable(page.parent)
    done = write_page(settings.folder, page, settings.title)
    result = {
        "report": str(done.page),
        "figures": [str(path) for path in done.figures],
        "records": list(done.records),
        "refused": list(done.refused),
        "claims": [each.as_json() for each in done.claims],
    }
    refused = f", {len(done.refused)} refused" if done.refused else ""
    lines = [f"records    {len(done.records)} shown{refused}"]
    if done.claims:
        lines.append(f"claims     {', '.join(words for _, words in totals(done.claims))}")
    if done.figures:
        figures = count(len(done.figures) // 3, "figure")
        lines.append(f"figures    {figures} in {done.figures[0].parent}")
    if not settings.json:
        if not done.records and not done.refused:
            warn(f"there is no record below {settings.folder}")
        for text in done.refused:
            warn(f"refused: {text}")
    show(settings.json, result, *lines, f"report     {done.page}")

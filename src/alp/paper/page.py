"""The page of any records beside the paper: needs neither model nor data, and no torch."""

from __future__ import annotations

from pathlib import Path

from alp.paper.claims import published
from alp.paper.judging import judge
from alp.report import Written, write_report


def write_page(folder: Path, out: Path | None = None, title: str | None = None) -> Written:
    """Make the page of every record below ``folder``, with the paper's claims where it has records
    of them, at ``out``, by default ``folder/report.html``. Whoever makes it, from the same records
    it has the same bytes.

    Raises:
        RecordError: there is no such folder.
        AlpError: jinja2 or matplotlib is not installed.
    """
    return write_report(
        folder, out or folder / "report.html", title=title, published=published, judge=judge
    )

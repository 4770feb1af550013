"""The report as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from alp.errors import AlpError, ConfigError
from alp.evaluation.records import KIND_ROBUSTNESS, read_all
from alp.files import write_atomically
from alp.report.figure import bars
from alp.report.sections import Published, Section, sections
from alp.report.table import cells, columns, require_columns
from alp.report.words import attack_words, interval, percent, row_words, threat_words, timing_words
from alp.version import __version__

_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """A picture on the page, such as a grid of clean, attacked and purified images."""

    png: bytes
    """The PNG file."""
    caption: str
    """What it shows, as plain text."""

    def __post_init__(self) -> None:
        if not self.png.startswith(_PNG):
            raise ConfigError(
                f"the picture {self.caption!r} begins with {self.png[:8]!r} and is no PNG file; "
                "save it as PNG"
            )

    @property
    def uri(self) -> str:
        """The file as a data URI."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


def write_report(
    records_folder: str | Path,
    out_html: str | Path,
    *,
    title: str = "Robustness report",
    published: Published | None = None,
    pictures: Sequence[Picture] = (),
) -> Path:
    """Make the page from the robustness records of a folder; its path.

    Records of one protocol (data, threat, attack) share a table; trials of one name and number of
    draws share a row. Refused records are listed with the reason; records of other kinds are
    counted. ``published`` gives the numbers to print beside the measurements.

    Raises:
        RecordError: there is no such folder.
        ConfigError: ``published`` names a column that there is not.
        AlpError: jinja2 or matplotlib is not installed.
    """
    for module in ("jinja2", "matplotlib"):
        if find_spec(module) is None:
            raise AlpError(
                f'the report needs {module}, which is not installed: pip install "alp[report]"'
            )
    records, refused = read_all(records_folder)
    shown = [record for record in records if record.kind == KIND_ROBUSTNESS]
    published = published or {}
    parts, unusable = sections(shown, published)
    require_columns(parts, published)
    page = _render(
        title=title,
        sections=[_context(part, published) for part in parts],
        pictures=pictures,
        refused=[str(error) for error in (*refused, *unusable)],
        others=len(records) - len(shown),
        has_published=bool(published),
        version=__version__,
    )
    out = Path(out_html)
    # A name may hold half a surrogate pair, which no encoding can write.
    data = page.encode("utf-8", "replace")
    write_atomically(out, lambda temporary: temporary.write_bytes(data))
    return out


def _render(**context: Any) -> str:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    here = files("alp.report")
    template = environment.from_string(here.joinpath("page.html").read_text("utf-8"))
    style = Markup(here.joinpath("page.css").read_text("utf-8"))
    return template.render(style=style, **context)


def _context(section: Section, published: Published) -> dict[str, Any]:
    """A section as the template sees it; all text, but for the figure."""
    from markupsafe import Markup

    protocol = section.protocol
    best = max(section.rows, key=lambda row: row["worst"]["value"])
    shown = columns(section)
    return {
        "data": f"{protocol['data']['name']} ({protocol['data']['split']})",
        "images": f"{protocol['images']:,}",
        "threat": threat_words(protocol["threat"]),
        "attack_name": str(protocol["attack"]["name"]).upper(),
        "attack": attack_words(protocol["attack"], protocol["threat"]),
        "knowledge": section.knowledge,
        "best": {
            "name": best["name"],
            "value": percent(best["worst"]["value"]),
            "interval": interval(best["worst"]),
        },
        "columns": shown,
        "attacked": sum(column.group == "robust" for column in shown),
        "rows": [
            {"name": row["name"], "how": row_words(row), "cells": cells(section, row, published)}
            for row in section.rows
        ],
        "warnings": section.warnings,
        # Matplotlib escapes what it draws; see the test with a script in a name.
        "figure": Markup(bars(section, published)),
        "provenance": [_provenance(record.header) for record in section.records],
    }


def _provenance(header: Mapping[str, Any]) -> dict[str, str]:
    """Where a record came from, in a table's cells."""
    pairs = [*header["weights"].items(), ("data", header["data_digest"])]
    return {
        "defence": header["name"],
        "trial": str(header["trial"]),
        "seed": str(header.get("seed", "")),
        "draws": str(header["draws"]),
        "timed on": timing_words(header["latency"]),
        "sha256": ", ".join(f"{part} {digest[:12]}" for part, digest in pairs),
        "versions": ", ".join(f"{name} {v}" for name, v in header.get("versions", {}).items()),
    }

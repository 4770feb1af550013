"""The report as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from alp.errors import AlpError, install
from alp.files import write_atomically
from alp.records import (
    KIND_BENCH,
    KIND_QUERIES,
    KIND_ROBUSTNESS,
    KIND_VERDICT,
    Kept,
    read_tree,
)
from alp.report.bench import bench_parts
from alp.report.claims import Judged, claims_part
from alp.report.drawing import Drawn, drawn
from alp.report.format import count
from alp.report.leaderboard import leaderboards
from alp.report.overview import Overview, overview_part
from alp.report.queries import query_parts
from alp.report.tables import Published, Publisher, robustness_parts
from alp.report.trainings import read_trainings
from alp.report.verdicts import verdict_parts
from alp.version import __version__

TABLES = ("hierarchy", "honest", "compact")
"""Experiments whose records are a table besides their figure."""


@dataclass(frozen=True)
class Written:
    """What a report shows, and where it is."""

    page: Path
    """The HTML file."""
    figures: tuple[Path, ...]
    """The figures beside it, each as SVG, PDF and PNG."""
    records: tuple[str, ...]
    """The records that it shows, as paths below their folder."""
    refused: tuple[str, ...]
    """Why the others were refused."""
    claims: tuple[Judged, ...]
    """The claims that it shows."""


def write_report(
    folder: str | Path,
    out_html: str | Path,
    *,
    title: str | None = None,
    published: Published | Publisher | None = None,
    judge: Callable[[Sequence[Kept]], Sequence[Judged]] = lambda kept: (),
    explain: Callable[[Sequence[Kept], Sequence[Judged]], Overview | None] = lambda *_: None,
    readings: Sequence[tuple[str, str]] = (),
) -> Written:
    """Make the page from every record below ``folder``, and its figures in ``figures`` beside it;
    the curves of trainings are read from their ``training.json``.

    Verdicts of one suite share a table, and so do records of queries of one budget, and robustness
    records of one protocol (data, threat, attack); trials of one name and number of draws share a
    row of the latter. Records of different folders are never mixed. Refused records are listed with
    the reason; records of kinds that nothing shows are counted. The same records give the same
    bytes.

    Args:
        title: of the page; by default it names the data.
        published: the numbers to print beside the measurements, or what finds them for a data set.
        judge: makes of the records the claims to show; none by default.
        explain: makes of the records and the claims what the page says first; nothing by default.
        readings: what the source of the claims leaves open, and how it is read.

    Raises:
        RecordError: there is no such folder.
        ConfigError: ``published`` names a column that there is not.
        AlpError: jinja2 or matplotlib is not installed.
    """
    for module in ("jinja2", "matplotlib"):
        if find_spec(module) is None:
            raise AlpError(
                f"the report needs {module}, which is not installed: {install('report')}"
            )
    from alp.report.figures import FIGURES

    kept, refused = read_tree(folder)
    trainings, unread = read_trainings(folder)
    figures, undrawn = drawn([*kept, *trainings], FIGURES)
    tabled = [each for each in kept if each.item in ("", *TABLES) or each.item not in FIGURES]
    verdicts, unjudged = verdict_parts(e for e in tabled if e.record.kind == KIND_VERDICT)
    tables, unmeasured = robustness_parts(
        (e for e in tabled if e.record.kind == KIND_ROBUSTNESS), published or {}
    )
    benches, untimed = bench_parts(e for e in kept if e.record.kind == KIND_BENCH)
    asked, unasked = query_parts(e for e in kept if e.record.kind == KIND_QUERIES)
    unusable = unjudged | unmeasured | untimed | unasked | undrawn
    boards = leaderboards(each for each in kept if each.path not in unusable)
    listed = {row["record"] for board in boards for row in board["rows"]}
    for number, part in enumerate(verdicts, 1):
        part["number"] = number
        part["listed"] = {row["record"] for row in part["provenance"]} <= listed
    claims = tuple(judge(kept))
    overview = explain(kept, claims)
    errors = (*map(str, [*refused, *unread]), *unusable.values())
    shown = {path for each in figures for path in each.records}
    shown |= {row["record"] for part in (*verdicts, *asked, *tables) for row in part["provenance"]}
    shown |= {part["record"] for part in benches}
    charts = _with_charts((*verdicts, *asked, *tables, *benches), figures)
    page = _render(
        title=_title(kept) if title is None else title,
        contents=_contents(claims, charts, boards, verdicts, asked, tables, benches, errors),
        overview=overview_part(overview) if overview else None,
        claims=claims_part(claims, readings) if claims else None,
        leaderboards=boards,
        verdicts=verdicts,
        asked=asked,
        tables=tables,
        benches=benches,
        figures=_by_title(charts),
        refused=errors,
        others=len({each.path for each in kept} - shown - set(unusable)),
        version=__version__,
    )
    out = Path(out_html)
    # A name may hold half a surrogate pair, which no encoding can write.
    data = page.encode("utf-8", "replace")
    write_atomically(out, partial(Path.write_bytes, data=data))
    beside = out.parent / "figures"
    paths = [path for each in figures for path in _write(each, beside)]
    return Written(out, tuple(paths), tuple(sorted(shown)), errors, claims)


def _with_charts(parts: Sequence[dict[str, Any]], figures: Sequence[Drawn]) -> list[Drawn]:
    """Give each figure to the first part that shows a record of it, as its ``charts``; the figures
    that are left."""
    left: list[Drawn] = []
    for part in parts:
        part["charts"] = []
    for figure in figures:
        of_part = next((part for part in parts if _records(part) & set(figure.records)), None)
        (left if of_part is None else of_part["charts"]).append(figure)
    return left


def _by_title(figures: Sequence[Drawn]) -> list[tuple[str, list[Drawn]]]:
    """Title to its figures, one a run."""
    found: dict[str, list[Drawn]] = {}
    for each in figures:
        found.setdefault(each.title, []).append(each)
    return list(found.items())


def _records(part: dict[str, Any]) -> set[str]:
    rows = part.get("provenance", [part])
    return {str(row["record"]) for row in rows}


def _title(kept: Sequence[Kept]) -> str:
    data = [each.record.header.get("data") for each in kept]
    named = [each for each in data if isinstance(each, dict) and "name" in each]
    names = dict.fromkeys(str(each["name"]) for each in named)
    return f"Results on {', '.join(names)}" if names else "Results"


def _write(figure: Drawn, folder: Path) -> Iterator[Path]:
    for kind, data in figure.files.items():
        path = folder / f"{figure.name}.{kind}"
        write_atomically(path, partial(Path.write_bytes, data=data))
        yield path


def _contents(
    claims: Sequence[Judged],
    figures: Sequence[Drawn],
    boards: Sequence[dict[str, Any]],
    verdicts: Sequence[dict[str, Any]],
    asked: Sequence[dict[str, Any]],
    tables: Sequence[dict[str, Any]],
    benches: Sequence[dict[str, Any]],
    errors: Sequence[str],
) -> list[tuple[str, str]]:
    """Anchor and words of every part of the page, in its order."""
    counted = [
        ("claims", claims, "claim"),
        ("figures", figures, "figure"),
        ("leaderboard", boards, "leaderboard"),
        ("adaptive", verdicts, "adaptive evaluation"),
        ("queries", asked, "query-limited run"),
        ("attack", tables, "attack table"),
        ("speed", benches, "benchmark"),
        ("refused", errors, "refused record"),
    ]
    return [(anchor, count(len(parts), noun)) for anchor, parts, noun in counted if parts]


def _render(**context: Any) -> str:
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    here = files("alp.report")
    environment = Environment(
        loader=FunctionLoader(lambda name: here.joinpath(name).read_text("utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = here.joinpath("sort.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("page.html").render(
        style=Markup(here.joinpath("page.css").read_text("utf-8")),
        script=Markup(script),
        script_digest=f"sha256-{digest}",
        **context,
    )

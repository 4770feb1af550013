"""The registered figures of the records at hand: on the page, and as files beside it."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from alp.records import KIND_BENCH, KIND_QUERIES, KIND_ROBUSTNESS, KIND_VERDICT, Kept
from alp.records.certificates import KIND_CERTIFICATE
from alp.report.figures.style import inline
from alp.report.refusal import Refused, refusal, trouble
from alp.report.trainings import KIND_CURVES

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

    from alp.report.figures import Drawing

_UNDATED: dict[str, dict[str, Any]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "ModDate": None},
    "png": {},
}
"""Format of a file to metadata that keep the time of day out of it."""

_DPI = 200


@dataclass(frozen=True)
class Drawn:
    """A figure that was drawn."""

    name: str
    """The stem of its files."""
    title: str
    """What it shows."""
    caption: str
    """Protocol, images, draws, seed."""
    svg: Markup
    """The element for the page."""
    files: dict[str, bytes]
    """Format to file."""
    records: tuple[str, ...]
    """The paths of the records behind it."""

    @property
    def sources(self) -> str:
        """Where its records are, in words."""
        if len(self.records) == 1:
            return self.records[0]
        folder = self.records[0].rpartition("/")[0] or "the folder"
        return f"{len(self.records)} records in {folder}"


def drawn(kept: Sequence[Kept], figures: Mapping[str, Drawing]) -> tuple[list[Drawn], Refused]:
    """Every figure that ``kept`` has records for, and why others were refused.

    Records of different folders are of different runs, and make figures of their own. A title that
    several experiments share is followed by the defence.
    """
    done: list[Drawn] = []
    refused: Refused = {}
    titles = Counter(drawing.title for drawing in figures.values())
    for name, drawing in figures.items():
        shown = [each for each in kept if _is_of(each, name, drawing)]
        for _, group in groupby(shown, key=lambda each: each.folder):
            run = list(group)
            of_one = titles[drawing.title] == 1
            title = drawing.title if of_one else f"{drawing.title}: {run[0].record.name}"
            made, damaged = _made(_stem(run[0].run, name), title, run, drawing)
            done += made
            refused |= damaged
    return done, refused


def _is_of(each: Kept, name: str, drawing: Drawing) -> bool:
    # Records that other commands make are of no experiment, but of the form of one.
    made = {KIND_ROBUSTNESS, KIND_VERDICT, KIND_BENCH, KIND_CERTIFICATE, KIND_CURVES, KIND_QUERIES}
    free = not drawing.experiment_only and each.item == "" and each.record.kind in made
    of_kind = each.record.kind in drawing.kinds and drawing.takes(each.record)
    return of_kind and (each.item == name or free)


def _stem(run: str, name: str) -> str:
    parts = [part for part in run.split("/") if part]
    if parts[-1:] == [name]:
        parts.pop()
    return "-".join([*parts, name])


def _made(stem: str, title: str, run: list[Kept], drawing: Drawing) -> tuple[list[Drawn], Refused]:
    """The figure of the records that can be drawn, and why the others cannot."""
    refused: Refused = {}
    while run:
        result = _attempt(run, drawing)
        if not isinstance(result, str):
            return [_drawn(stem, title, *result, run)], refused
        blamed = _blamed(run, drawing)
        refused |= {each.path: refusal(each.path, result) for each in blamed}
        run = [each for each in run if each not in blamed]
    return [], refused


def _blamed(run: list[Kept], drawing: Drawing) -> list[Kept]:
    """The records to leave out of a figure that cannot be drawn: those that cannot be drawn alone
    where others can, else the one without which the rest can be drawn, else all."""
    alone = [each for each in run if isinstance(_attempt([each], drawing), str)]
    if 0 < len(alone) < len(run):
        return alone
    others = [(each, [other for other in run if other is not each]) for each in run]
    single = [
        each for each, rest in others if rest and not isinstance(_attempt(rest, drawing), str)
    ]
    return single if len(single) == 1 else run


def _attempt(run: list[Kept], drawing: Drawing) -> tuple[Figure, str] | str:
    """Figure and caption, or what is wrong with the records."""
    records = [each.record for each in run]
    made: list[tuple[Figure, str]] = []
    why = trouble(lambda: made.append((drawing.draw(records), drawing.caption(records))))
    return why or made[0]


def _drawn(stem: str, title: str, figure: Figure, caption: str, run: list[Kept]) -> Drawn:
    # The layout is found once: each saving would find it again, and draw everything twice for it.
    figure.set_dpi(_DPI)
    with _any_letters():
        figure.draw_without_rendering()
    figure.set_layout_engine(None)
    return Drawn(
        name=stem,
        title=title,
        caption=caption,
        svg=element(figure, title),
        # A file may be opened on any ground, and its letters are black.
        files={kind: _saved(figure, kind, "path", "white") for kind in _UNDATED},
        records=tuple(each.path for each in run),
    )


def element(figure: Figure, label: str) -> Markup:
    """The figure as an ``<svg>`` element of the page, named ``label`` for who cannot see it."""
    from markupsafe import Markup

    # Matplotlib escapes what it draws.
    return Markup(inline(_saved(figure, "svg", "none", "none").decode(), label))


@contextmanager
def _any_letters() -> Iterator[None]:
    """On the page the reader's fonts draw the text; which letters Matplotlib has is no matter."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        yield


def _saved(figure: Figure, kind: str, letters: str, ground: str) -> bytes:
    """The figure as a file on ``ground``; ``letters`` of an SVG: none (text) or path (drawn)."""
    import matplotlib

    style: dict[Any, Any] = {"svg.fonttype": letters, "svg.hashsalt": "alp", "pdf.fonttype": 42}
    buffer = io.BytesIO()
    with matplotlib.rc_context(style), _any_letters():
        figure.savefig(buffer, format=kind, dpi=_DPI, facecolor=ground, metadata=_UNDATED[kind])
    return buffer.getvalue()

"""The paper's appendix: pictures, and how far purification takes images from themselves."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from alp.errors import RecordError
from alp.records import (
    CLEAN,
    KIND_PICTURES,
    KIND_POINTS,
    Record,
    choose_points,
    measured,
    require,
)
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import RED, SIZE, SKY, TEXT, WIDTH, styled, tidy
from alp.report.format import some, terms

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FACTOR = 10
"""By how much the difference is enlarged."""

_LETTERS = 10
"""Of a class name under a picture."""


def caption(records: Sequence[Record]) -> str:
    """Terms of the pictures and of the distributions."""
    shown, distributions = _parts(records)
    texts = []
    if shown:
        first = shown[0]
        further = ", and in a row each those of further trials" if shown[1:] else ""
        texts.append(
            f"{first.name}: images clean, attacked (attacker: {first.header['level']}), {_FACTOR} "
            f"times their difference, and one purified draw of the attacked image{further}. Below: "
            "prediction and confidence, of the classifier alone for clean and attacked, of the "
            f"whole defence for purified; coloured where wrong. {terms(shown)}"
        )
    if distributions:
        means = [float(np.mean(_psnr(record))) for record in distributions]
        texts.append(
            f"PSNR of one purified draw beside the clean image, a box a trial (median, quartiles, "
            f"5th and 95th percentile; mean {np.mean(means):.2f} dB): {terms(distributions)}"
        )
    return " ".join(texts)


@FIGURES.register("grids", order=6)
@drawing("Pictures, and their PSNR", KIND_PICTURES, KIND_POINTS, caption=caption)
@styled
def draw(records: Sequence[Record]) -> Figure:
    """Rows of pictures of the first trial, clean, attacked, ten times their difference, purified,
    and of each further trial the purified ones, with prediction and confidence (coloured where they
    are wrong); below, the distribution of PSNR of each trial."""
    from matplotlib.figure import Figure

    shown, distributions = _parts(records)
    rows = [row for place, record in enumerate(shown) for row in _rows(record, place == 0)]
    count = len(shown[0].columns["index"]) if shown else 1
    side = WIDTH / (count + 0.5)
    heights = [side + 0.28] * len(rows) + [1.7] * bool(distributions)
    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.02, wspace=0.02, hspace=0.0)  # type: ignore[union-attr,call-arg]
    grid = figure.add_gridspec(len(heights), count, height_ratios=heights)
    for place, row in enumerate(rows):
        for column, picture in enumerate(row.pictures):
            axes = tidy(figure.add_subplot(grid[place, column]))
            axes.imshow(picture)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            _label(axes, row, column)
            if column == 0:
                axes.set_ylabel(row.words, fontsize=SIZE - 1)
    if distributions:
        _boxes(tidy(figure.add_subplot(grid[len(rows), :])), distributions)
    return figure


def _parts(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """The pictures of the trials, all of as many images, and the records of the distributions."""
    for record in some(records):
        require(record, KIND_PICTURES if record.kind == KIND_PICTURES else KIND_POINTS)
    pictures = [record for record in records if record.kind == KIND_PICTURES]
    alike = [each for each in pictures if len(each) == len(pictures[0])]
    alike.sort(key=lambda each: int(each.header["trial"]))
    return alike, [record for record in records if record.kind == KIND_POINTS]


@dataclass(frozen=True)
class _Row:
    """Pictures of one kind and trial."""

    name: str
    """Which of the record's columns tell prediction and confidence."""
    words: str
    pictures: list[NDArray[Any]]
    """uint8 (H,W,3)."""
    record: Record


def _rows(record: Record, whole: bool) -> list[_Row]:
    """The rows of a trial: all, or what is purified alone."""
    clean, attacked, purified = (
        [_decoded(text, record) for text in record.columns[f"{name}_png"]]
        for name in ("clean", "attacked", "purified")
    )
    if not whole:
        return [_Row("purified", f"trial {record.header['trial']}", purified, record)]
    difference = [
        np.clip(128 + _FACTOR * (a.astype(int) - c), 0, 255).astype(np.uint8)
        for a, c in zip(attacked, clean, strict=True)
    ]
    return [
        _Row("clean", "clean", clean, record),
        _Row("attacked", "attacked", attacked, record),
        _Row("difference", f"difference\n\u00d7 {_FACTOR}", difference, record),
        _Row("purified", "purified", purified, record),
    ]


def _decoded(text: str, record: Record) -> NDArray[Any]:
    from PIL import Image

    try:
        with Image.open(
            io.BytesIO(base64.b64decode(str(text), validate=True)), formats=["PNG"]
        ) as f:
            return np.asarray(f.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise RecordError(
            f"the record {record.name!r} has a picture that is no PNG file ({error}); "
            "run the experiment again"
        ) from error


def _label(axes: Axes, row: _Row, column: int) -> None:
    """Prediction and confidence below a picture."""
    columns = row.record.columns
    if f"{row.name}_prediction" not in columns:
        return
    predicted = int(columns[f"{row.name}_prediction"][column])
    confidence = float(columns[f"{row.name}_confidence"][column])
    words = str(row.record.header["data"]["classes"][predicted])[:_LETTERS]
    axes.set_xlabel(
        f"{words}\n{100 * confidence:.0f} %",
        fontsize=SIZE - 2,
        color=TEXT if predicted == int(columns["label"][column]) else RED,
        labelpad=1,
    )


def _boxes(axes: Axes, records: Sequence[Record]) -> None:
    line = {"color": TEXT, "linewidth": 0.8}
    axes.boxplot(
        [_psnr(record) for record in records],
        tick_labels=[str(record.header["trial"]) for record in records],
        whis=(5, 95),
        showfliers=False,
        patch_artist=True,
        widths=0.5,
        boxprops={"facecolor": SKY, "edgecolor": TEXT, "linewidth": 0.6},
        medianprops={"color": TEXT, "linewidth": 1.2},
        whiskerprops=line,
        capprops=line,
    )
    tidy(axes)
    axes.set_xlabel("trial")
    axes.set_ylabel("PSNR (dB)")


def _psnr(record: Record) -> NDArray[Any]:
    return choose_points(measured(record), CLEAN)[0].psnr

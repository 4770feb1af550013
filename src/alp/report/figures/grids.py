"""The paper's appendix: pictures, and how far purification takes images from themselves."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
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
        numbers = ", ".join(str(record.header["trial"]) for record in shown[1:])
        further = f" Small: those of trials {numbers}, framed where wrong." if numbers else ""
        texts.append(
            f"{first.name}: images clean, attacked (attacker: {first.header['level']}), {_FACTOR} "
            "times their difference, and one purified draw of the attacked image. Below: "
            "prediction and confidence, of the classifier alone for clean and attacked, of the "
            f"whole defence for purified; coloured where wrong.{further} {terms(shown)}"
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
    with prediction and confidence (coloured where they are wrong); then what further trials purify,
    two a row, framed where the prediction is wrong; below, the distribution of PSNR of each
    trial."""
    from matplotlib.figure import Figure

    shown, distributions = _parts(records)
    count = len(shown[0].columns["index"]) if shown else 1
    rows, further = _rows(shown[0]) if shown else {}, shown[1:]
    side = WIDTH / (count + 0.5)
    lines = math.ceil(len(further) / 2)
    heights = [side + 0.28] * len(rows) + [lines * side / 2] * (lines > 0)
    heights += [1.5] * bool(distributions)
    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.02, wspace=0.02, hspace=0.0)  # type: ignore[union-attr,call-arg]
    grid = figure.add_gridspec(len(heights), count, height_ratios=heights)
    for place, (words, pictures) in enumerate(rows.items()):
        for column, picture in enumerate(pictures):
            axes = figure.add_subplot(grid[place, column])
            _show(axes, picture, words if column == 0 else "")
            axes.spines[:].set_visible(False)
            _label(axes, shown[0], words, column)
    if further:
        small = grid[len(rows), :].subgridspec(lines, 2 * count)
        for number, record in enumerate(further):
            for column, text in enumerate(record.columns["purified_png"]):
                axes = figure.add_subplot(small[number // 2, number % 2 * count + column])
                _show(axes, _decoded(text, record), str(record.header["trial"]) * (column == 0))
                axes.spines[:].set(visible=not _told(record, "purified", column)[2], color=RED)
    if distributions:
        _boxes(tidy(figure.add_subplot(grid[len(heights) - 1, :])), distributions)
    return figure


def _parts(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """The pictures of the trials, all of as many images, and the records of the distributions."""
    for record in some(records):
        require(record, KIND_PICTURES if record.kind == KIND_PICTURES else KIND_POINTS)
    pictures = [record for record in records if record.kind == KIND_PICTURES]
    alike = [each for each in pictures if len(each) == len(pictures[0])]
    alike.sort(key=lambda each: int(each.header["trial"]))
    return alike, [record for record in records if record.kind == KIND_POINTS]


def _rows(record: Record) -> dict[str, list[NDArray[Any]]]:
    """Name of a row to its pictures, uint8 (H,W,3)."""
    clean, attacked, purified = (
        [_decoded(text, record) for text in record.columns[f"{name}_png"]]
        for name in ("clean", "attacked", "purified")
    )
    difference = [
        np.clip(128 + _FACTOR * (a.astype(int) - c), 0, 255).astype(np.uint8)
        for a, c in zip(attacked, clean, strict=True)
    ]
    return {
        "clean": clean,
        "attacked": attacked,
        f"difference\n\u00d7 {_FACTOR}": difference,
        "purified": purified,
    }


def _show(axes: Axes, picture: NDArray[Any], words: str) -> None:
    tidy(axes).imshow(picture)
    axes.set(xticks=[], yticks=[])
    axes.set_ylabel(words, fontsize=SIZE - 1)


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


def _label(axes: Axes, record: Record, name: str, column: int) -> None:
    """Prediction and confidence below a picture."""
    if f"{name}_prediction" in record.columns:
        words, confidence, right = _told(record, name, column)
        axes.set_xlabel(
            f"{words}\n{100 * confidence:.0f} %",
            fontsize=SIZE - 2,
            color=TEXT if right else RED,
            labelpad=1,
        )


def _told(record: Record, name: str, column: int) -> tuple[str, float, bool]:
    """The class that is predicted, with what confidence, and whether it is the picture's."""
    predicted = int(record.columns[f"{name}_prediction"][column])
    words = str(record.header["data"]["classes"][predicted])[:_LETTERS]
    confidence = float(record.columns[f"{name}_confidence"][column])
    return words, confidence, predicted == int(record.columns["label"][column])


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

"""The paper's figure 2, sigma against training, and beside it what gives it a meaning: of trials
from one start, and of one trial from several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from alp.records import KIND_TRAINING, Record, require
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import PALETTE, TEXT, canvas, legend, styled
from alp.report.format import count, some

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PANELS = {
    "sigma": "sigma\n(latent units)",
    "latent_snr": "latent SNR",
    "bits_per_latent": "bits per\nlatent value",
}

_WORDS = {"start": "from", "trial": "trial"}


def caption(records: Sequence[Record]) -> str:
    """The mean optimum, its deviation, and the trainings."""
    first = some(records)[0]
    for record in records:
        require(record, KIND_TRAINING)
    finals = _finals(records)
    spread = f" (SD {np.std(finals, ddof=1):.4f})" if len(finals) > 1 else ""
    ends = [
        f"{words} {np.mean([each.columns[name][-1] for each in records]):.2f}"
        for name, words in (("latent_snr", "latent SNR"), ("bits_per_latent", "bits a latent"))
    ]
    seeds = ", ".join(dict.fromkeys(str(each.header["seed"]) for each in records))
    told = ""
    if _of_starts(records):
        starts = sorted(float(record.header["start"]) for record in records)
        told = f"sigma at the start {', '.join(f'{start:g}' for start in starts)}, "
    return (
        f"The noise level against training, one line a training; dotted: the mean of the final "
        f"ones, sigma {np.mean(finals):.3f}{spread}, at {' and '.join(ends)}. Purifiers trained on "
        f"{first.header['data']['name']} ({first.header['data']['split']}) to a reconstruction of "
        f"{first.header['psnr']:g} dB; {count(len(records), 'training')}, {told}seeds {seeds}."
    )


@FIGURES.register("sigma-starts", order=1)
@FIGURES.register("sigma", order=1)
@drawing("Sigma against training", KIND_TRAINING, caption=caption)
@styled
def draw(records: Sequence[Record]) -> Figure:
    """Sigma, latent SNR and bits a latent value over the images seen: a line a training, and the
    mean of the final sigmas."""
    for record in some(records):
        require(record, KIND_TRAINING)
    what = "start" if _of_starts(records) else "trial"
    records = sorted(records, key=lambda record: float(record.header[what]))
    figure, panels = canvas(3.9, rows=len(_PANELS), sharex=True)
    for axes, (name, label) in zip(panels, _PANELS.items(), strict=True):
        for number, record in enumerate(records):
            seen = record.columns["step"] * record.header["batch_size"] / 1000
            told = f"{_WORDS[what]} {record.header[what]:g}"
            axes.plot(seen, record.columns[name], color=PALETTE[number % len(PALETTE)], label=told)
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
    mean = float(np.mean(_finals(records)))
    panels[0].axhline(mean, color=TEXT, linestyle=":", label=f"mean {mean:.3f}")
    legend(figure)
    panels[-1].set_xlabel("training images seen (thousands)")
    return figure


def _of_starts(records: Sequence[Record]) -> bool:
    """Whether they are one trial from several starts of sigma."""
    alike = len({record.header["trial"] for record in records}) == 1 < len(records)
    return alike and all("start" in record.header for record in records)


def _finals(records: Sequence[Record]) -> list[float]:
    return [float(record.header["sigma"]) for record in records]

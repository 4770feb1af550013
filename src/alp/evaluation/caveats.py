"""What weakens a result, found in the result itself: the warnings of a record."""

from __future__ import annotations

from collections.abc import Sequence

from alp.evaluation.records import Columns
from alp.evaluation.statistics import wilson
from alp.evaluation.verdict import NOT_A_CLASS

FEW_IMAGES = 500
"""Below this many images an interval may be wider than 8.8 points."""


def caveats(columns: Columns, levels: Sequence[str]) -> list[str]:
    """The warnings of a robustness record with these columns, as sentences."""
    images = len(columns["label"])
    found = []
    if images < FEW_IMAGES:
        low, high = wilson(images / 2, images)
        found.append(
            f"{images} images < {FEW_IMAGES}: the interval is wide, up to "
            f"{100 * (high - low):.1f} points"
        )
    for level in levels:
        blind = int(columns[f"{level}_zero_gradient"].sum())
        if blind:
            found.append(
                f"the gradient seen by `{level}` is zero for {100 * blind / images:.1f} % of the "
                "images: there the attack is blind, and its failure shows no robustness"
            )
    for point in ("clean", *levels):
        broken = int((columns[f"{point}_prediction"] == NOT_A_CLASS).sum())
        if broken:
            found.append(
                f"{broken} predictions on {point} images are not finite; they count as wrong"
            )
    return found

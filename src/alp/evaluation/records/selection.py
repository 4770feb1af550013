"""The attacker's choice among the candidates of an image, and what it is worth."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alp.evaluation.records.columns import Columns


def worst(columns: Columns, entries: Iterable[str], evaluations: int) -> NDArray[Any]:
    """The share of predictions, (n,), that an attacker who may choose among ``entries`` leaves
    right.

    Candidates of an image are its clean self and the attacked image of every entry that attacked
    it. The one that the selecting predictions have right least often is taken, the last of several,
    since suites go from weak to strong; it is judged by its other, fresh predictions: the minimum
    of noisy scores flatters the attacker, a score on new draws does not. An attacked image that is
    right as often as the clean one is no candidate.
    """
    lowest = clean = columns["clean_select"].astype(np.int64)
    judged = columns["clean_fresh"].astype(np.int64)
    for name in entries:
        select = columns[f"{name}_select"]
        better = columns[f"{name}_attacked"] & (select < clean) & (select <= lowest)
        lowest = np.where(better, select, lowest)
        judged = np.where(better, columns[f"{name}_fresh"], judged)
    return judged / evaluations

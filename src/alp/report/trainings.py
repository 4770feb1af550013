"""The curves of trainings, from the ``training.json`` that each leaves beside its weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from alp.errors import RecordError
from alp.records import Kept, Record

KIND_CURVES = "curves"
"""A training, one row a stretch of steps: ``step`` (the last of it) and the mean of each scalar."""

_NAME = "training.json"


def read_trainings(folder: str | Path) -> tuple[list[Kept], list[RecordError]]:
    """Every training below ``folder`` as a record of the kind ``curves``, in the order of the
    paths, and why others were refused."""
    folder, kept, errors = Path(folder), [], []
    for path in sorted(folder.rglob(_NAME), key=lambda path: path.relative_to(folder).parts):
        name = path.relative_to(folder).as_posix()
        try:
            kept.append(Kept(name, _record(path)))
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecordError) as error:
            errors.append(
                RecordError(
                    f"{name} is no record of a training ({type(error).__name__}: {error}); restore "
                    "it, or train again"
                )
            )
    return kept, errors


def _record(path: Path) -> Record:
    told = json.loads(path.read_bytes())
    curve = {name: np.array(values, dtype=np.float64) for name, values in told["curve"].items()}
    header = {
        "kind": KIND_CURVES,
        "name": str(told["stage"]).removesuffix("Stage"),
        "weights": {"model": str(told["weights_digest"])},
        **{key: told[key] for key in ("data", "seed", "steps", "seconds", "precision", "device")},
    }
    if "step" not in curve or len(curve) < 2:
        raise RecordError("it has no curve")
    return Record(header, curve)

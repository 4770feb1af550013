"""What a protection came to, from the files of its steps alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alp.errors import RecordError
from alp.files import read_json
from alp.protection.plan import certifying
from alp.protection.schedule import Schedule
from alp.records import conclude, read, robust_share
from alp.records.certificates import summarise_certificates
from alp.records.statistics import paired_difference
from alp.records.timings import rows


def facts(
    folder: Path,
    retrain: str,
    commands: Mapping[str, Sequence[str]],
    later: Mapping[str, Sequence[str]],
    schedule: Schedule,
) -> dict[str, Any]:
    """Everything that the page says, as plain JSON values.

    Args:
        commands: step that was taken to its command.
        later: ``certify`` and ``check``, where they were left out, to their commands.
        schedule: of the finished steps.

    Raises:
        RecordError: a record of a step is missing or damaged.
    """
    judged = sorted((folder / "judged" / "records").glob("*.json"))
    records = {path.stem: read(path.with_suffix("")) for path in judged}
    defended = records.pop("defended")
    ((name, bare),) = records.items()
    difference, (low, high) = paired_difference(robust_share(defended), robust_share(bare))
    certified = None
    if "certify" not in later:
        record = read(folder / "certified" / "records" / "noiseless")
        certified = summarise_certificates(record)
    rates, plan = schedule.rates, schedule.plan.whole()
    lasting = {
        "certify": certifying(rates, plan.certified, plan.votes),
        "check": rates.loading + rates.judged(plan.judged),
    }
    return {
        "classifier": name,
        "retrain": retrain,
        "threat": defended.header["threat"],
        "data": defended.header["data"],
        "bare": conclude(bare),
        "defended": conclude(defended),
        "gain": {"value": difference, "low": low, "high": high},
        "certified": certified,
        "left_out": {
            name: {"command": list(command), "seconds": lasting[name]}
            for name, command in later.items()
        },
        "exported": read_json(folder / "exported" / "export.json", RecordError),
        "latency": [
            {"what": row.what, "backend": row.backend, "ms": round(row.median, 2)}
            for row in rows(read(folder / "bench" / "bench"))
            if row.what in ("peer", "draw", "draws", "consensus")
        ],
        "budget": schedule.budget,
        "measured": schedule.measured,
        "seconds": schedule.total,
        "steps": [
            {
                "name": step,
                "command": list(command),
                "planned": schedule.seconds[step],
                "seconds": schedule.taken(step),
            }
            for step, command in commands.items()
        ],
    }

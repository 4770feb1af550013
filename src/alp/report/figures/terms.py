"""What a caption says of the records behind a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alp.errors import RecordError
from alp.evaluation.records import Record
from alp.report.words import attack_words, count, threat_words


def terms(records: Sequence[Record]) -> str:
    """Protocol, images, draws and seed of records of one run, in plain text."""
    first = some(records)[0].header
    parts = [f"{count(first['images'], 'image')} of {first['data']['name']} ({_split(first)})"]
    if "attack" in first:
        # A norm alone, where the radius is no term but varies, has no word for it.
        norm = "L\u221e" if first["threat"]["name"] == "linf" else first["threat"]["name"]
        radius = "eps" in first["threat"]
        parts.append(f"{threat_words(first['threat']) if radius else norm}; {_attack(first)}")
    if max(record.header.get("draws", 1) for record in records) > 1:
        draws = sorted({count(record.header["draws"], "draw") for record in records})
        parts.append(f"mean logits of {' or '.join(draws)}")
    parts.append(_trials(records))
    parts.append(f"seed {first['seed']}")
    return f"{'; '.join(parts)}."


def some(records: Sequence[Record]) -> Sequence[Record]:
    """``records``, of which there has to be one at least.

    Raises:
        RecordError: there is none.
    """
    if not records:
        raise RecordError("there is no record to draw; run the experiment first")
    return records


def _split(header: dict[str, Any]) -> str:
    return str(header["data"]["split"])


def _attack(header: dict[str, Any]) -> str:
    threat = header["threat"]
    attack = header["attack"]
    if "eps" not in threat:  # where the radius varies, steps that follow it have no length
        attack = {key: value for key, value in attack.items() if key != "step_size"}
    return attack_words(attack, threat)


def _trials(records: Sequence[Record]) -> str:
    trials = sorted({int(record.header.get("trial", 0)) for record in records})
    return f"trial {trials[0]}" if len(trials) == 1 else count(len(trials), "trial")

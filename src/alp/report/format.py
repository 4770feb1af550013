"""Protocols and numbers in words.

What a caption says of the records behind a figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from alp.errors import RecordError
from alp.records import Record

_NORMS = {"linf": "L∞", "l2": "L2"}
_LOSSES = {"ce": "cross-entropy", "dlr": "DLR"}
_THIN = "\u202f"  # a narrow space that does not break


def percent(share: float, digits: int = 1) -> str:
    """A share in [0,1] as per cent."""
    return f"{100 * share:.{digits}f}{_THIN}%"


def interval(accuracy: Mapping[str, float]) -> str:
    """The ends of an accuracy's interval, in per cent."""
    return f"{100 * accuracy['low']:.1f}\u2013{100 * accuracy['high']:.1f}"


def grey_levels(value: float) -> str:
    """A pixel difference on images in [0,1]: ``8/255`` where it is a whole number of grey
    levels."""
    levels = value * 255
    if round(levels) and abs(levels - round(levels)) < 1e-6:
        return f"{round(levels)}/255"
    return f"{value:.4g}"


def threat_words(threat: Mapping[str, Any]) -> str:
    """A threat of a record's header, such as ``L∞, ε = 8/255``."""
    name = str(threat["name"])
    if "eps" not in threat:
        return name
    eps = grey_levels(threat["eps"]) if name == "linf" else f"{threat['eps']:.4g}"
    return f"{_NORMS.get(name, name)}, ε{_THIN}={_THIN}{eps}"


def attack_words(attack: Mapping[str, Any], threat: Mapping[str, Any]) -> str:
    """An attack of a record's header, such as ``PGD: 7 steps of 2/255, 1 restart``."""
    known = {"name", "steps", "step_size", "restarts", "loss"}
    parts = []
    if "steps" in attack:
        parts.append(count(attack["steps"], "step"))
    if attack.get("step_size") is not None:
        size = attack["step_size"]
        length = grey_levels(size) if threat["name"] == "linf" else f"{size:.4g}"
        parts[-1:] = [f"{' '.join(parts[-1:])} of {length}".strip()]
    if "restarts" in attack:
        parts.append(count(attack["restarts"], "restart"))
    if "loss" in attack:
        parts.append(f"{_LOSSES.get(attack['loss'], attack['loss'])} loss")
    parts += [f"{key} {value}" for key, value in attack.items() if key not in known]
    name = str(attack["name"]).upper()
    return f"{name}: {', '.join(parts)}" if parts else name


def entry_words(entry: Mapping[str, Any], threat: Mapping[str, Any]) -> str:
    """An entry of a suite, such as ``PGD: 10 steps of 2/255; 4 draws a call, mean loss``."""
    words = attack_words(entry["attack"], threat)
    if entry["draws"] > 1:
        words += f"; {entry['draws']} draws a call, mean {entry['objective']}"
    if entry["surrogate"]:
        words += f"; on {entry['surrogate']}"
    return words + ("; on what is left" if entry["closing"] else "")


def asker_words(header: Mapping[str, Any]) -> list[str]:
    """The attackers of a record of queries, such as ``square (scores; k = 1, 2): SQUARE: ...``.
    How many steps each k allows follows from the budget."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for each in header["attackers"]:
        found.setdefault(each["label"], []).append(each)
    words = []
    for label, same in found.items():
        answers = ", ".join(str(each["answers"]) for each in same)
        attack = {key: value for key, value in same[0]["attack"].items() if key != "queries"}
        told = attack_words(attack, header["threat"])
        words.append(f"{label} ({same[0]['sees']}; k = {answers}): {told}")
    return words


def run_words(run: str, *details: str) -> str:
    """Which run a part of the page is of: ``verdicts, suite quick, 512 images``."""
    return ", ".join([run, *details] if run else details)


def suite_words(header: Mapping[str, Any]) -> str:
    """A verdict's suite, such as ``standard, attackers in bfloat16``."""
    precision = header.get("attack_precision", "float32")  # records of 0.1.0 had no other
    return str(header["suite"]) + ("" if precision == "float32" else f", attackers in {precision}")


def row_words(row: Mapping[str, Any]) -> str:
    """How a row's prediction was made and how often it was trained: ``20 draws, 5 trials``."""
    return f"{count(row['draws'], 'draw')}, {count(row['trials'], 'trial')}"


def timing_words(latency: Mapping[str, Any]) -> str:
    """What a latency was measured on: ``1 image, cpu, 2 threads``; empty where it was not."""
    counts = [("images", "image"), ("threads", "thread")]
    images, threads = (
        [count(latency[key], noun)] if key in latency else [] for key, noun in counts
    )
    device = [str(latency["device"])] if "device" in latency else []
    return ", ".join(images + device + threads)


def count(number: int, noun: str) -> str:
    """``1 draw``, ``20 draws``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


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

"""What the record of an evaluation says of itself. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import TYPE_CHECKING, Any

from alp import seeding
from alp.attacks import ATTACKS, THREATS, Attack, Threat
from alp.attacks.base import step_length
from alp.attacks.library import LIBRARY_ATTACKS
from alp.evaluation.knowledge import describe
from alp.records import SCHEMA
from alp.records.record import json_values, versions

if TYPE_CHECKING:
    from alp.data import Images


@dataclass(frozen=True)
class About:
    """What the evaluation cannot see in a defence, but its record has to say."""

    name: str
    """The row of the table, such as ``A-ALP + AT``; trials of one defence share it."""
    trial: int = 0
    """Number of the trial: the same defence trained from another seed."""
    draws: int = 1
    """Draws of the deployed prediction; 1 where it draws nothing."""
    sigma: float | None = None
    """Noise level of the purifier, in the units of its latent; None without one."""
    weights: Mapping[str, str] = field(default_factory=dict)
    """Part of the defence (``classifier``, ``purifier``) to the sha256 of its weights."""
    latency: Mapping[str, Any] = field(default_factory=dict)
    """What :func:`alp.bench.profile` measured; empty where nothing was."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Anything else worth keeping, as JSON values."""
    item: str = ""
    """The experiment that it belongs to; empty where it is of none."""
    defence: Mapping[str, Any] = field(default_factory=dict)
    """What the defence is: registered ``kind``, ``settings`` and number of ``parameters``."""


def header(
    kind: str,
    about: About,
    data: Images,
    threat: Threat,
    where: Mapping[str, Any],
    own: Mapping[str, Any],
) -> dict[str, Any]:
    """The header of a record of ``kind``. It holds no time of day, so that the same evaluation
    gives the same bytes.

    Args:
        where: seed, batch size and device.
        own: the keys that are its own.

    Raises:
        RecordError: ``about`` or ``own`` holds what JSON cannot.
    """
    names: dict[type, str] = {each: name for name, each in THREATS.items()}
    return json_values(
        {
            "schema": SCHEMA,
            "kind": kind,
            "name": about.name,
            "trial": about.trial,
            **where,
            **seeding.recorded(),
            "threat": _settings(threat, names.get(type(threat))),
            **own,
            "draws": about.draws,
            "images": len(data),
            "data": {"name": data.name, "split": data.split, "classes": list(data.classes)},
            "data_digest": data.digest,
            "weights": dict(about.weights),
            "versions": versions(),
            "sigma": about.sigma,
            "latency": dict(about.latency),
            "extra": dict(about.extra),
            **({"item": about.item} if about.item else {}),
            **({"defence": dict(about.defence)} if about.defence else {}),
        }
    )


def attackers(attack: Attack, threat: Threat, levels: Iterable[str]) -> dict[str, Any]:
    """The keys of a header that say who attacked, and how."""
    return {
        "attack": attack_settings(attack, threat),
        "knowledge": {level: describe(level) for level in levels},
    }


def attack_settings(attack: Attack, threat: Threat) -> dict[str, Any]:
    """An attack's name and settings, its step length spelt out."""
    kind = type(attack)
    settings = _settings(attack, ATTACKS.name_of(kind) or LIBRARY_ATTACKS.name_of(kind))
    if "step_size" in settings:
        settings["step_size"] = step_length(settings["step_size"], threat)
    return settings


def _settings(chosen: object, name: str | None) -> dict[str, Any]:
    """The fields of a settings object below its name; its class is the name where it has none."""
    fields = asdict(chosen) if is_dataclass(chosen) and not isinstance(chosen, type) else {}
    return {"name": name or type(chosen).__name__, **fields}

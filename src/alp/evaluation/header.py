"""What the record of an evaluation says of itself. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import TYPE_CHECKING, Any

from alp.attacks import ATTACKS, THREATS, Attack, Threat
from alp.attacks.base import step_length
from alp.attacks.library import LIBRARY_ATTACKS
from alp.evaluation.knowledge import describe
from alp.evaluation.suites import Entry, Suite
from alp.records import KIND_ROBUSTNESS, KIND_VERDICT, SCHEMA
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
    """What :func:`alp.evaluation.profile` measured; empty where nothing was."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Anything else worth keeping, as JSON values."""
    item: str = ""
    """The experiment that it belongs to; empty where it is of none."""


def robustness_header(
    about: About,
    data: Images,
    threat: Threat,
    attack: Attack,
    levels: Sequence[str],
    seed: int,
    batch_size: int,
    device: str,
) -> dict[str, Any]:
    """The header of a robustness record, but for its warnings; it holds no time of day, so that
    the same evaluation gives the same bytes.

    Raises:
        RecordError: ``about`` holds what JSON cannot.
    """
    own = {
        "attack": attack_settings(attack, threat),
        "knowledge": {level: describe(level) for level in levels},
    }
    where = (seed, batch_size, device)
    return json_values(_header(KIND_ROBUSTNESS, about, data, threat, own, *where))


def own_header(
    kind: str,
    about: About,
    data: Images,
    threat: Threat,
    attack: Attack,
    levels: Sequence[str],
    seed: int,
    batch_size: int,
    device: str,
    **own: Any,
) -> dict[str, Any]:
    """The header of a record of another ``kind``, with keys of its ``own``; as above.

    Raises:
        RecordError: ``about`` or ``own`` holds what JSON cannot.
    """
    own |= {
        "attack": attack_settings(attack, threat),
        "knowledge": {level: describe(level) for level in levels},
        "warnings": [],
    }
    return json_values(_header(kind, about, data, threat, own, seed, batch_size, device))


def verdict_header(
    about: About,
    data: Images,
    threat: Threat,
    suite: Suite,
    seed: int,
    batch_size: int,
    device: str,
    *,
    surrogates: Sequence[str],
    attack_precision: str,
) -> dict[str, Any]:
    """The header of a verdict record, but for its findings and warnings; as above.

    Raises:
        RecordError: ``about`` holds what JSON cannot.
    """

    def described(entry: Entry, closing: bool) -> dict[str, Any]:
        attack = attack_settings(entry.attack, threat)
        return {**asdict(entry), "attack": attack, "name": entry.name, "closing": closing}

    entries = [described(entry, False) for entry in suite.opening]
    entries += [described(entry, True) for entry in suite.closing]
    own = {
        "suite": suite.name,
        "entries": entries,
        "evaluations": suite.evaluations,
        "probes": asdict(suite.probes),
        "knowledge": {entry.level: describe(entry.level) for entry in suite.entries},
        "surrogates": list(surrogates),
        "attack_precision": attack_precision,
    }
    where = (seed, batch_size, device)
    return json_values(_header(KIND_VERDICT, about, data, threat, own, *where))


def attack_settings(attack: Attack, threat: Threat) -> dict[str, Any]:
    """An attack's name and settings, its step length spelt out."""
    settings = _settings(attack, ATTACKS | LIBRARY_ATTACKS)
    if "step_size" in settings:
        settings["step_size"] = step_length(settings["step_size"], threat)
    return settings


def _header(
    kind: str,
    about: About,
    data: Images,
    threat: Threat,
    own: dict[str, Any],
    seed: int,
    batch_size: int,
    device: str,
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "kind": kind,
        "name": about.name,
        "trial": about.trial,
        "seed": seed,
        "batch_size": batch_size,
        "device": device,
        "threat": _settings(threat, THREATS),
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
    }


def _settings(chosen: object, registry: Mapping[str, type]) -> dict[str, Any]:
    """The registered name of a settings object (its class where it has none) and its fields."""
    names = [name for name, kind in registry.items() if type(chosen) is kind]
    fields = asdict(chosen) if is_dataclass(chosen) and not isinstance(chosen, type) else {}
    return {"name": names[0] if names else type(chosen).__name__, **fields}

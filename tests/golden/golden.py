"""The settings that decide how strict an evaluation and a training are, and what the paper's claims
are found to be worth, as JSON for people to read.

Each file beside this one holds what the package says today. A test compares the two, so that a
weaker attack, a wider tolerance or another learning rate is never an accident. A change that is
meant rewrites the files and shows in the review:

    python tests/golden/golden.py
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import alp
from alp.attacks import ATTACKS, OBJECTIVES, THREATS
from alp.attacks.library import LIBRARY_ATTACKS
from alp.config import to_dict
from alp.evaluation.askers import askers
from alp.evaluation.checks import CHECKS
from alp.evaluation.knowledge import BLACK_BOX, KNOWLEDGE, NEEDS, PAPER
from alp.evaluation.queries import Queries
from alp.evaluation.suites import SUITES, Entry, Suite, suite_for
from alp.experiments.claims import Claim, claims
from alp.experiments.findings import judge
from alp.experiments.protocol import Protocol
from alp.records import read_tree
from alp.training.recipes import RECIPES, SCALES

FOLDER = Path(__file__).parent
RESULTS = FOLDER.parents[1] / "results" / "cpu"
COMMAND = "python tests/golden/golden.py"
WIDTH = 160
DECIDING = (
    "attacks",
    "bench",
    "data",
    "defences",
    "deploy",
    "evaluation",
    "experiments",
    "records",
)
"""Packages whose constants decide what is found and what counts."""


@dataclass(frozen=True)
class Shown:
    """A target as far as the choice of a suite looks at it."""

    stochastic: bool
    capabilities: frozenset[str] = frozenset()
    differentiable: bool = True


def suites() -> dict[str, Any]:
    """Every suite for each norm, and what is left of it for targets that show less."""
    whole = {f"{name}, {norm}": _suite(SUITES[name](norm)) for name in SUITES for norm in THREATS}
    fitted = {}
    for name in SUITES:
        everything = Shown(True, frozenset(NEEDS.values()))
        for kind, suite in {
            "a random target with two surrogates": suite_for(name, "linf", everything, ("a", "b")),
            "a random target that shows answers only": suite_for(name, "linf", Shown(True)),
            "a target without a gradient": suite_for(
                name, "linf", Shown(False, differentiable=False), ("a",)
            ),
            "a deterministic target": suite_for(name, "linf", Shown(False)),
            "a random target of two classes": suite_for(name, "linf", everything, classes=2),
        }.items():
            fitted[f"{name}, {kind}"] = {
                "evaluations": suite.evaluations,
                "probes": plain(suite.probes),
                "opening": [entry.name for entry in suite.opening],
                "closing": [entry.name for entry in suite.closing],
            }
    knowledge = {
        "levels": list(KNOWLEDGE),
        "black boxes": sorted(BLACK_BOX),
        "needs": NEEDS,
        "of the paper": PAPER,
        "objectives": list(OBJECTIVES),
        "checks": list(CHECKS),
    }
    return {
        "knowledge": plain(knowledge),
        "suites": whole,
        "fitted": fitted,
        "queries": _queries(Queries()),
    }


def _queries(suite: Queries) -> dict[str, Any]:
    """The suite of attackers who only ask."""
    return {
        "budget": suite.queries,
        "checkpoints": list(suite.checkpoints),
        "evaluations": suite.evaluations,
        "a random target with a surrogate": {
            each.name: {"sees": each.sees, "attack": plain(each.attack)}
            for each in askers(True, suite.answers, suite.queries, ("a",))
        },
        "a deterministic target": {
            each.name: {"sees": each.sees, "attack": plain(each.attack)}
            for each in askers(False, (1,), suite.queries, ())
        },
    }


def _suite(suite: Suite) -> dict[str, Any]:
    def entry(each: Entry) -> dict[str, Any]:
        values = {field.name: getattr(each, field.name) for field in fields(each)}
        return {key: plain(value) for key, value in values.items() if value != ""}

    return {
        "evaluations": suite.evaluations,
        "probes": plain(suite.probes),
        "opening": [entry(each) for each in suite.opening],
        "closing": [entry(each) for each in suite.closing],
    }


def attacks() -> dict[str, Any]:
    """Default settings of every attack, and how often it says that it calls the target."""
    own = {name: (plain(kind()), list(kind().calls)) for name, kind in ATTACKS.items()}
    library = {name: (plain(kind()), list(kind().calls)) for name, kind in LIBRARY_ATTACKS.items()}
    return {
        "threats": {name: plain(kind()) for name, kind in THREATS.items()},
        "attacks": {
            name: {"settings": settings, "gradients, scores": calls}
            for name, (settings, calls) in own.items()
        },
        "library": {
            name: {
                "settings": settings,
                "gradients, scores": calls,
                "norms": list(LIBRARY_ATTACKS[name].norms),
            }
            for name, (settings, calls) in library.items()
        },
    }


def recipes() -> dict[str, Any]:
    """Every training recipe with every field, its stage's defaults included."""
    return {
        f"{name}, {scale}": {
            **{field.name: getattr(recipe, field.name) for field in fields(recipe)},
            "stage": {"kind": type(recipe.stage).__name__, **plain(to_dict(recipe.stage))},
        }
        for name, scales in RECIPES.items()
        for scale, recipe in scales.items()
    }


def protocols() -> dict[str, Any]:
    """How the experiments of the paper are run at each scale."""
    return {scale: plain(asdict(Protocol(scale))) for scale in SCALES}


def published_claims() -> dict[str, Any]:
    """Every claim of the paper with all that decides whether it counts as reproduced."""
    words = ("id", "sentence", "place", "stated")
    deciding = [field.name for field in fields(Claim) if field.name not in words]
    return {
        claim.id: {
            name: plain(value)
            for name, value in ((name, getattr(claim, name)) for name in deciding)
            if value not in (None, "", ())
        }
        for claim in claims()
    }


def judged() -> dict[str, Any]:
    """What the records of the repository say of each claim: the numbers of the page."""
    kept, refused = read_tree(RESULTS)
    assert not refused
    return {
        each.id: {
            "status": each.status,
            "criterion": each.holds,
            "findings": [
                {
                    "protocol": found.protocol,
                    "value": found.words,
                    "interval": found.interval,
                    "holds": found.holds,
                }
                for found in each.findings
            ],
        }
        for each in judge(kept)
    }


def thresholds() -> dict[str, Any]:
    """Every constant of the deciding packages that holds a number, by its module's last name."""
    found: dict[str, dict[str, Any]] = {}
    for package in DECIDING:
        home = importlib.import_module(f"alp.{package}")
        walked = pkgutil.walk_packages(home.__path__, f"alp.{package}.")
        values = {}
        for name in sorted({home.__name__, *(each.name for each in walked)}):
            module = importlib.import_module(name)
            for key in re.findall(r"^(_?[A-Z][A-Z0-9_]*)\b[^=\n(]*= ", _source(module), re.M):
                values[f"{name.split('.')[-1]}.{key}"] = plain(getattr(module, key))
        found[package] = {key: each for key, each in sorted(values.items()) if _holds_number(each)}
    return found


def _source(module: Any) -> str:
    return Path(module.__file__).read_text("utf-8")


def _holds_number(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_number, value.values()))
    if isinstance(value, list):
        return any(map(_holds_number, value))
    if isinstance(value, str):
        return bool(re.fullmatch(r"\d+/255", value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def plain(value: Any) -> Any:
    """JSON values of settings; of functions and classes nothing."""
    if is_dataclass(value) and not isinstance(value, type):
        own = {field.name: getattr(value, field.name) for field in fields(value)}
        return {"name": type(value).__name__, **plain(own)}
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items() if not callable(each)}
    if isinstance(value, list | tuple | frozenset):
        ordered = sorted(value) if isinstance(value, frozenset) else value
        return [plain(each) for each in ordered]
    if isinstance(value, float) and 0 < value < 1 and len(str(value)) > 10:
        grey = round(value * 255)
        return f"{grey}/255" if grey / 255 == value else value
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


GOLDEN: dict[str, Callable[[], dict[str, Any]]] = {
    "suites": suites,
    "attacks": attacks,
    "recipes": recipes,
    "protocols": protocols,
    "claims": published_claims,
    "judged": judged,
    "thresholds": thresholds,
}
"""Name of a file to what it has to hold."""


def text(name: str) -> str:
    """The file ``name`` as it should be."""
    return _laid_out(GOLDEN[name](), "") + "\n"


def _laid_out(value: Any, indent: str) -> str:
    """JSON of which everything that fits a line stands on one."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or len(indent + line) <= WIDTH:
        return line
    inner = indent + "  "
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {_laid_out(each, inner)}" for key, each in value.items()]
    else:
        parts = [_laid_out(each, inner) for each in value]
    start, end = "{}" if isinstance(value, dict) else "[]"
    return start + "\n" + ",\n".join(inner + part for part in parts) + "\n" + indent + end


if __name__ == "__main__":
    for each in GOLDEN:
        (FOLDER / f"{each}.json").write_text(text(each), "utf-8")
    print(f"wrote {', '.join(GOLDEN)} of alp {alp.__version__} to {FOLDER}")

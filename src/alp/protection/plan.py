"""How long each step of a protection takes: what a budget buys on this machine.

The plan is made once, from a few timed calls, and kept, so that an interrupted protection goes on
with the same settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch

from alp.attacks import Linf
from alp.config import from_dict
from alp.defences import Defended, Purifier
from alp.defences.base import Defence
from alp.defences.checkpoint import save, weights_digest
from alp.defences.packaged import load, require_defended, require_purifier
from alp.defences.purifier import with_noise
from alp.errors import CheckpointError, ConfigError
from alp.evaluation import EvalConfig
from alp.evaluation.evaluator import seconds_per_image
from alp.evaluation.probe import probed
from alp.files import read_json, write_json

if TYPE_CHECKING:
    from alp.data import Images

TRAINED, JUDGED, CERTIFIED = 0.55, 0.3, 0.1
"""Shares of the budget; the rest is for exporting, timing and starting."""

ADAPTED = 0.2
"""Of the training's time, that of adapting the purifier to the pictures."""

MOST_EPOCHS = 100.0
"""Passes over the pictures beyond which a training learns them by heart."""

LEAST, MOST = 16, 256
"""Images that are judged."""

LEAST_CERTIFIED, MOST_CERTIFIED = 4, 100
"""Images that are certified."""

STEP = 4.0
"""A training step beside one pass with a gradient: the attack, and forward and backward."""


@dataclass(frozen=True)
class Plan:
    """What is done in each step."""

    batch_size: int
    """Images of a training step."""
    purifier_epochs: float
    """Passes over the pictures that adapt the purifier to them."""
    defence_epochs: float
    """Passes over the pictures of the adversarial training."""
    judged: int
    """Test images that are attacked."""
    certified: int
    """Test images that are certified."""
    sigma: float = 0.06
    """Noise of the certificates on the pixels, about that of the adversarial training."""
    votes: int = 1000
    """Most votes for an image."""


def planned(
    folder: Path,
    settings: Mapping[str, Any],
    budget: float,
    classifier: Defence,
    purifier: Purifier,
    train: Images,
    test: Images,
) -> Plan:
    """The plan in ``folder``, made where there is none yet.

    Args:
        settings: what the protection was asked for, plain values.
        budget: seconds for everything.

    Raises:
        ConfigError: the folder holds another protection, or there are too few pictures.
    """
    path = folder / "plan.json"
    asked = {
        **settings,
        "weights": [weights_digest(classifier), weights_digest(purifier)],
        "data": [train.digest, test.digest],
    }
    if path.exists():
        kept = read_json(path, CheckpointError)
        if kept.get("asked") != asked:
            changed = [k for k, v in asked.items() if dict(kept.get("asked", {})).get(k) != v]
            raise ConfigError(
                f"{folder} holds a protection with another {', '.join(changed)}; give another "
                "folder, or delete that one"
            )
        return from_dict(Plan, kept["plan"])
    config = EvalConfig("quick", Linf(settings["eps"]), seed=settings["seed"])
    plan = _plan(budget, Defended(classifier, purifier, settings["draws"]), train, test, config)
    write_json(path, {"asked": asked, "plan": asdict(plan)})
    return plan


def _plan(
    budget: float, defended: Defended, train: Images, test: Images, config: EvalConfig
) -> Plan:
    defended.eval()
    batch = min(64, len(train))
    first, labels = test.batch(torch.arange(min(8, len(test))))
    once = probed(defended.with_draws(1), first, labels).rates
    adapting = _per_image(lambda: defended.purifier(first).mean().backward(), len(first))
    each = seconds_per_image(defended, test, config)
    each += seconds_per_image(defended.classifier, test, config)
    votes = Plan.votes
    training = TRAINED * budget
    return Plan(
        batch,
        _epochs(ADAPTED * training / adapting, len(train)),
        _epochs((1 - ADAPTED) * training / (STEP * once[0]), len(train)),
        _between(LEAST, JUDGED * budget / each, MOST, len(test)),
        _between(
            LEAST_CERTIFIED, CERTIFIED * budget / (votes * once[1]), MOST_CERTIFIED, len(test)
        ),
    )


def _per_image(call: Callable[[], object], images: int) -> float:
    call()  # the first call is slower
    start = perf_counter()
    call()
    return (perf_counter() - start) / images


def _epochs(seen: float, images: int) -> float:
    """Passes over ``images`` in which about ``seen`` are seen."""
    return float(f"{min(MOST_EPOCHS, max(1.0, seen / images)):.2g}")


def _between(least: int, count: float, most: int, there: int) -> int:
    return min(there, most, max(least, int(count)))


def assemble(folder: Path, trained: Path, classifier: Defence, draws: int) -> None:
    """Write the defended classifier into ``folder``: as it is deployed, and without noise, for
    certificates, which need a deterministic one.

    Args:
        trained: weights of a purifier, which is put before ``classifier``, or of a classifier
            behind its purifier.
    """
    model = load(trained)
    name = str(trained)
    defended = (
        require_defended(model, name)
        if model.classifies
        else Defended(classifier, require_purifier(model, name))
    )
    quiet = Defended(defended.classifier, with_noise(defended.purifier, 0.0), 1)
    quiet.classes = defended.classes
    for name, each in (("defended", defended.with_draws(draws)), ("noiseless", quiet)):
        save(each.eval(), folder / f"{name}.safetensors")

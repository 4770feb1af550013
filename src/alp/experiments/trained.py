"""The models of the paper, each trained once a trial, for all experiments.

Baseline: a standard classifier. AT: an adversarially trained one. Standalone: the purifier with one
draw before a standard classifier that was fine-tuned on purified images. A-ALP + AT: the purifier
with the consensus before the adversarially trained classifier, fine-tuned adversarially on purified
images. Zero-shot: the purifier before a classifier that was trained without it, and is left as it
is. Each trial trains all of them from its own seed; experiments that compare one model with another
take those of trial 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from alp.defences import Defended, Purifier
from alp.defences.base import Defence, Model
from alp.defences.packaged import require_defended, require_purifier
from alp.experiments.workspace import Workspace
from alp.training.recipes import recipe, stage_of
from alp.training.stages import PurifierStage, Stage
from alp.training.train import Trained

BASELINE, STANDALONE, AT, DEFENDED = "baseline", "ALP standalone", "AT", "A-ALP + AT"
ZERO_SHOT, ZERO_SHOT_AT = "zero-shot ALP", "zero-shot ALP before AT"

SHORTER = 0.4
"""Of the purifier's usual length the share that a variant's training takes."""

SMALL = {"width": 16, "blocks": 1}
"""Of purifiers of which an experiment trains many, where the usual one is larger."""

S = TypeVar("S", bound=Stage)


def table_rows(
    workspace: Workspace, trial: int = 0
) -> list[tuple[str, str, Callable[[], Defence]]]:
    """Place, name and model of each row of Table II in a trial; what is missing is trained when the
    model is called for."""
    return [
        (f"baseline-{trial}", BASELINE, lambda: standard(workspace, trial).defence),
        (f"standalone-{trial}", STANDALONE, lambda: standalone(workspace, trial)),
        (f"adversarial-{trial}", AT, lambda: adversarial(workspace, trial).defence),
        (f"defended-{trial}", DEFENDED, lambda: defended(workspace, trial)),
    ]


def standard(workspace: Workspace, trial: int = 0) -> Trained:
    """The standard classifier of a trial."""
    return _alone(workspace, "standard", trial)


def adversarial(workspace: Workspace, trial: int = 0) -> Trained:
    """The adversarially trained classifier of a trial."""
    return _alone(workspace, "adversarial", trial)


def purifier(workspace: Workspace, trial: int) -> Trained:
    """The purifier of a trial."""
    return _alone(workspace, "purifier", trial)


def _alone(workspace: Workspace, name: str, trial: int) -> Trained:
    """A model that no other is needed for."""
    given = workspace.given(name, trial)
    return given or workspace.train(f"{name}-{trial}", name, trial=trial)


def standalone(workspace: Workspace, trial: int) -> Defended:
    """The purifier with one draw before a standard classifier."""
    made = workspace.given("standalone", trial) or workspace.train(
        f"standalone-{trial}",
        "standard-purified",
        trial=trial,
        purifier=purifier(workspace, trial).path,
        classifier=standard(workspace, trial).path,
    )
    return with_draws(made.model, 1)


def defended(workspace: Workspace, trial: int) -> Defended:
    """A-ALP + AT with the protocol's consensus."""
    made = workspace.given("defended", trial) or workspace.train(
        f"defended-{trial}",
        "adversarial-purified",
        trial=trial,
        purifier=purifier(workspace, trial).path,
        classifier=adversarial(workspace, trial).path,
    )
    return with_draws(made.model, workspace.protocol.draws)


def before(workspace: Workspace, classifier: Trained, draws: int) -> Defended:
    """The purifier of trial 0 before a classifier that is left as it is, with ``draws`` draws."""
    purifying = require_purifier(purifier(workspace, 0).model, "the trained model")
    return behind(purifying, classifier, draws)


def behind(purifying: Purifier, classifier: Trained, draws: int) -> Defended:
    """A classifier as it is behind a purifier."""
    return Defended(classifier.model, purifying, draws).eval()


def small(
    workspace: Workspace, place: str, of_purifier: Mapping[str, Any], of_rate: Mapping[str, Any]
) -> Purifier:
    """A small purifier of a short training, with other settings and another objective than the
    usual ones."""
    usual = stage_of("purifier", workspace.protocol.scale, PurifierStage)
    size = {key: min(value, getattr(usual.purifier, key)) for key, value in SMALL.items()}
    stage = replace(
        usual,
        purifier=replace(usual.purifier, **(size | dict(of_purifier))),
        rate=replace(usual.rate, **of_rate),
    )
    model = workspace.train(place, "purifier", stage=shorter(stage, SHORTER)).model
    return require_purifier(model, "the trained model")


def with_draws(model: Model, draws: int) -> Defended:
    """``model``, deployed with ``draws`` draws."""
    return require_defended(model, "the trained model").with_draws(draws)


@dataclass(frozen=True)
class Variant:
    """A-ALP + AT with another purifier, both of shorter trainings than the paper's own."""

    channels: int | None = None
    """Channels of the latent; None for the usual number."""
    psnr: float | None = None
    """The reconstruction that the constraint asks for in dB; None for the usual one."""
    stride: Literal[4, 8] = 4
    """Pixels per latent cell along each axis."""


def variant(workspace: Workspace, wanted: Variant) -> Defended:
    """The variant of trial 0; variants of equal settings share their training."""
    channels, psnr = settings(workspace, wanted)
    place = place_of(workspace, wanted)

    scale = workspace.protocol.scale
    usual = stage_of("purifier", scale, PurifierStage)
    purifying = replace(
        shorter(usual, SHORTER),
        purifier=replace(usual.purifier, latent_channels=channels, stride=wanted.stride),
        rate=replace(usual.rate, psnr=psnr),
    )
    front = workspace.train(f"purifier-{place}", "purifier", stage=purifying)
    made = workspace.train(
        f"defended-{place}",
        "adversarial-purified",
        purifier=front.path,
        classifier=adversarial(workspace).path,
        stage=shorter(recipe("adversarial-purified", scale).stage, 0.5),
    )
    return with_draws(made.model, workspace.protocol.draws)


def place_of(workspace: Workspace, wanted: Variant) -> str:
    """The name of a variant's files."""
    channels, psnr = settings(workspace, wanted)
    place = f"c{channels}-{psnr:g}dB"
    return f"{place}-stride{wanted.stride}" if wanted.stride != 4 else place


def settings(workspace: Workspace, wanted: Variant) -> tuple[int, float]:
    """Channels and dB of a variant."""
    usual = stage_of("purifier", workspace.protocol.scale, PurifierStage)
    return wanted.channels or usual.purifier.latent_channels, wanted.psnr or usual.rate.psnr


def shorter(stage: S, share: float) -> S:
    """The stage with ``share`` of its epochs."""
    return replace(stage, optim=replace(stage.optim, epochs=share * stage.optim.epochs))

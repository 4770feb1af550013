"""The robustness matrix with a purifier that is trained at each noise level.

Elsewhere the noise level of one purifier is set after its training. Here each level has a purifier
of its own, trained from scratch at that level, beside one that is trained at the paper's optimum
and set to the others. A fixed noise level needs a latent of a fixed scale: all are bounded, all of
one small size and one short training by the mean squared error alone, before a classifier that
nobody fine-tuned.

Records of the kind ``points`` (:mod:`alp.records.points`): one a noise level for the purifiers that
were trained at it, and one at all levels for the other.
"""

from __future__ import annotations

from alp.attacks import FGSM
from alp.defences import Purifier
from alp.evaluation.grid import Point
from alp.experiments import EXPERIMENTS, trained
from alp.experiments.sweeps import SWEEP_RADII, SWEEP_SIGMAS
from alp.experiments.workspace import Workspace
from alp.records import Record

TRAINED, SET = "trained at each sigma", "trained at one sigma"

START = 0.5
"""The noise level of the purifier that is set to the others: the paper's optimum."""

LEVELS = ("oblivious", "single")
"""What the attacker knows."""

SHARE = 0.15
"""Of the protocol's images."""


@EXPERIMENTS.register(
    "trained-sweep", order=20, summary="the matrix with a purifier trained at each sigma"
)
def trained_sweep(workspace: Workspace) -> list[Record]:
    """The purifiers of all levels, and the one that is set."""
    sigmas = workspace.grid(SWEEP_SIGMAS)
    records = [
        _measured(workspace, f"trained-{sigma:g}", TRAINED, _purifier(workspace, sigma), [sigma])
        for sigma in sigmas
    ]
    return [*records, _measured(workspace, "set", SET, _purifier(workspace, START), sigmas)]


def _purifier(workspace: Workspace, sigma: float) -> Purifier:
    settings = {"latent": "bounded", "noise": "fixed", "sigma": sigma}
    return trained.small(workspace, f"purifier-at-{sigma:g}", settings, {"objective": "mse"})


def _measured(
    workspace: Workspace, place: str, name: str, purifier: Purifier, sigmas: list[float]
) -> Record:
    points = [Point(sigma=sigma) for sigma in sigmas]
    points += [
        Point(level, eps, sigma) for level in LEVELS for eps in SWEEP_RADII for sigma in sigmas
    ]
    model = trained.behind(purifier, trained.standard(workspace), 1)
    images = workspace.share_of_images(SHARE)
    return workspace.points(place, name, model, FGSM(), points, images)

"""The paper's robustness matrix: FGSM's eps against sigma.

The paper does not say what its attacker knows, so each of four levels has a matrix. Record of the
kind ``points`` (:mod:`alp.records.points`): A-ALP + AT of trial 0 at each level, eps and
sigma, and clean at each sigma. The paper's purifier is the zero-shot one, so ``zero-shot-sweep``
has the same matrix for the purifier before a classifier that never saw an attack.

The paper's figure 3: accuracy and PSNR over sigma.

Record of the kind ``points`` (:mod:`alp.records.points`): A-ALP + AT of trial 0 at noise
levels in the latent's units, clean and under the protocol's attack and radius;
``zero-shot-tradeoff`` as above.

Accuracy against the radius of the attack, for each level of attacker knowledge.

Records of the kind ``points`` (:mod:`alp.records.points`): A-ALP + AT of trial 0 under
every level, and AT alone, for which all levels are one (``single``).

The paper's figure 5: the mean of the trials and their deviation, over sigma and over eps.

Records of the kind ``points`` (:mod:`alp.records.points`), one a trial of A-ALP + AT: at
the protocol's radius over noise levels in the latent's units, and at the learned noise level
(``sigma`` None) over radii, clean and under the protocol's attack.
"""

from __future__ import annotations

from collections.abc import Mapping

from alp.attacks import FGSM
from alp.evaluation.grid import Point
from alp.experiments import EXPERIMENTS, trained
from alp.experiments.workspace import Workspace
from alp.records import Record

SWEEP_RADII = (0.1, 0.2, 0.3)
"""The paper's radii: 0.3 is far beyond what leaves a picture as it is."""

SWEEP_SIGMAS = (0.0, 0.5, 1.0, 1.5, 2.0)
"""The paper's noise levels, in units of the latent."""

SWEEP_LEVELS = {"oblivious": 1, "single": 1, "masked": 1, "eot": 10}
"""What the attacker knows, and the draws that its gradient averages."""

SWEEP_SHARE = 0.2
"""Of the protocol's images."""


ZERO_SHOT_LEVELS = {"oblivious": 1, "single": 1, "masked": 1}
"""What the attacker of the zero-shot purifier knows, and the draws that its gradient averages."""

ZERO_SHOT_SHARE = 0.15
"""Of the protocol's images, in sweep and trade-off of the zero-shot purifier."""


@EXPERIMENTS.register("sweep", order=3, summary="the robustness matrix: FGSM's eps against sigma")
def sweep(workspace: Workspace) -> list[Record]:
    """The matrix of one model."""
    images = workspace.share_of_images(SWEEP_SHARE)
    points = _matrix(workspace, SWEEP_LEVELS)
    model = trained.defended(workspace, 0)
    return [workspace.points("defended-0", trained.DEFENDED, model, FGSM(), points, images)]


@EXPERIMENTS.register(
    "zero-shot-sweep", order=12, summary="the matrix with a classifier that never saw an attack"
)
def zero_shot_sweep(workspace: Workspace) -> list[Record]:
    """The matrix of the zero-shot purifier."""
    images = workspace.share_of_images(ZERO_SHOT_SHARE)
    points = _matrix(workspace, ZERO_SHOT_LEVELS)
    model = trained.standalone(workspace, 0)
    return [workspace.points("standalone-0", trained.STANDALONE, model, FGSM(), points, images)]


def _matrix(workspace: Workspace, levels: Mapping[str, int]) -> list[Point]:
    sigmas = workspace.grid(SWEEP_SIGMAS)
    return [Point(sigma=sigma) for sigma in sigmas] + [
        Point(level, eps, sigma, averaged)
        for level, averaged in levels.items()
        for eps in SWEEP_RADII
        for sigma in sigmas
    ]


TRADEOFF_SIGMAS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
"""The range of the paper, twice as fine."""

TRADEOFF_LEVELS = {"single": 1, "eot": 5}
"""What the attacker knows, and the draws that its gradient averages."""

TRADEOFF_SHARE = 0.15
"""Of the protocol's images."""


@EXPERIMENTS.register("tradeoff", order=4, summary="figure 3: accuracy and PSNR over sigma")
def tradeoff(workspace: Workspace) -> list[Record]:
    """Both curves of one model."""
    images, attack = workspace.share_of_images(TRADEOFF_SHARE), workspace.protocol.attack
    points = _curves(workspace, TRADEOFF_LEVELS)
    model = trained.defended(workspace, 0)
    return [workspace.points("defended-0", trained.DEFENDED, model, attack, points, images)]


@EXPERIMENTS.register(
    "zero-shot-tradeoff", order=13, summary="figure 3 with a classifier that never saw an attack"
)
def zero_shot_tradeoff(workspace: Workspace) -> list[Record]:
    """Both curves of the zero-shot purifier."""
    images, attack = workspace.share_of_images(ZERO_SHOT_SHARE), workspace.protocol.attack
    points = _curves(workspace, {"single": 1})
    model = trained.standalone(workspace, 0)
    return [workspace.points("standalone-0", trained.STANDALONE, model, attack, points, images)]


def _curves(workspace: Workspace, levels: Mapping[str, int]) -> list[Point]:
    sigmas, eps = workspace.grid(TRADEOFF_SIGMAS), workspace.protocol.threat.eps
    return [Point(sigma=sigma) for sigma in sigmas] + [
        Point(level, eps, sigma, averaged) for level, averaged in levels.items() for sigma in sigmas
    ]


CURVE_RADII = (1 / 255, 2 / 255, 4 / 255, 8 / 255, 16 / 255, 32 / 255)
"""From one grey level to what repaints a picture."""

CURVE_LEVELS = {"oblivious": 1, "masked": 1, "single": 1, "bpda": 4, "eot": 5}
"""What the attacker knows, and the draws that its gradient averages."""

CURVE_SHARE = 0.15
"""Of the protocol's images."""


@EXPERIMENTS.register("robustness-curve", order=8, summary="accuracy against eps, by attacker")
def robustness_curve(workspace: Workspace) -> list[Record]:
    """The curves of both models on the same images."""
    radii = workspace.grid(CURVE_RADII)
    points = [Point()]
    points += [
        Point(level, eps, None, averaged)
        for level, averaged in CURVE_LEVELS.items()
        for eps in radii
    ]
    alone = [Point(), *(Point("single", eps) for eps in radii)]
    images, attack = workspace.share_of_images(CURVE_SHARE), workspace.protocol.attack
    both, bare = trained.defended(workspace, 0), trained.adversarial(workspace).defence
    return [
        workspace.points("defended-0", trained.DEFENDED, both, attack, points, images),
        workspace.points("adversarial", trained.AT, bare, attack, alone, images),
    ]


RELIABILITY_SIGMAS = (0.0, 0.5, 1.0, 1.5, 2.0)
"""The paper's noise levels, in units of the latent."""

RELIABILITY_RADII = (2 / 255, 4 / 255, 8 / 255, 12 / 255, 16 / 255)
"""Radii around the usual one."""

RELIABILITY_LEVEL = "single"
"""What the attacker knows: the paper's protocol."""

RELIABILITY_SHARE = 0.15
"""Of the protocol's images."""


@EXPERIMENTS.register("reliability", order=6, summary="figure 5: mean and deviation of trials")
def reliability(workspace: Workspace) -> list[Record]:
    """The curves of every trial, on the same images."""
    sigmas = workspace.grid(RELIABILITY_SIGMAS)
    points = [Point(sigma=sigma) for sigma in (None, *sigmas)]
    points += [Point(RELIABILITY_LEVEL, workspace.protocol.threat.eps, sigma) for sigma in sigmas]
    points += [Point(RELIABILITY_LEVEL, eps) for eps in workspace.grid(RELIABILITY_RADII)]
    images = workspace.share_of_images(RELIABILITY_SHARE)
    return [
        workspace.points(
            f"defended-{trial}",
            trained.DEFENDED,
            trained.defended(workspace, trial),
            workspace.protocol.attack,
            points,
            images,
            trial=trial,
        )
        for trial in range(workspace.protocol.trials)
    ]

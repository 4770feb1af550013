"""What robustness costs in accuracy (Tsipras et al. 2019).

A record of the kind ``optima`` (:mod:`alp.records.record`) of a problem in closed form (toy.py):
the best classifier for each radius, beside the most accurate one. And records of the kind
``points`` (:mod:`alp.records.points`), one a small classifier: trained for as many epochs at each
radius, from several seeds, and attacked at some. ``extra`` of their header has ``trained_eps``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from alp.config import ClassifierConfig
from alp.evaluation import About
from alp.evaluation.grid import Point
from alp.experiments import EXPERIMENTS
from alp.experiments.toy import Toy
from alp.experiments.workspace import Workspace
from alp.records import KIND_OPTIMA, Record
from alp.seeding import recorded
from alp.training.recipes import stage_of
from alp.training.stages import AdversaryConfig, ClassifierStage

LEVELS_OF_GREY = (0, 1, 2, 4, 8)
"""Radii of the trainings, in 255ths."""

ATTACKED = (2, 4, 8)
"""Radii of the attacks, in 255ths."""

SEEDS = 3
"""Trainings at each radius."""

EPOCHS = 3.0
"""Of every training."""

SHARE = 0.5
"""Of the protocol's images."""

TOY = Toy()
STEPS = 41
"""Radii of the closed form, from 0 to twice the mean."""


@EXPERIMENTS.register("robustness-cost", order=31, summary="what robustness costs in accuracy")
def robustness_cost(workspace: Workspace) -> list[Record]:
    """The closed form, and a record a radius and seed."""
    about = About("Gaussian toy problem", item=workspace.item)
    records = [workspace.record("toy", about, lambda: toy_record(workspace, TOY))]
    seeds = SEEDS if workspace.protocol.scale != "smoke" else 1
    for grey in workspace.grid(LEVELS_OF_GREY):
        records += [_measured(workspace, grey, seed) for seed in range(seeds)]
    return records


def _measured(workspace: Workspace, grey: int, seed: int) -> Record:
    place = f"eps-{grey}-{seed}"
    made = workspace.train(place, "adversarial", trial=seed, stage=stage(workspace, grey))
    points = [Point(), *(Point("single", eps / 255) for eps in ATTACKED)]
    return workspace.points(
        place,
        f"trained at {grey}/255",
        made.defence,
        workspace.protocol.attack,
        points,
        workspace.share_of_images(SHARE),
        trial=seed,
        extra={"trained_eps": grey / 255},
    )


def stage(workspace: Workspace, grey: int) -> ClassifierStage:
    """A small classifier, trained at a radius of ``grey`` 255ths by one noisy step, or, at 0, on
    clean images."""
    usual = stage_of("adversarial", workspace.protocol.scale, ClassifierStage)
    adversary = AdversaryConfig("nfgsm", eps=grey / 255) if grey else AdversaryConfig()
    return replace(
        usual,
        classifier=ClassifierConfig("tiny"),
        adversary=adversary,
        optim=replace(usual.optim, epochs=min(EPOCHS, usual.optim.epochs)),
    )


def toy_record(workspace: Workspace, toy: Toy) -> Record:
    """The accuracies of the optima of ``toy`` over the radius."""
    radii = np.linspace(0, 2 * toy.mean, STEPS)
    accurate = toy.optimum()
    weights = [toy.optimum(eps) for eps in radii.tolist()]
    header = {
        "kind": KIND_OPTIMA,
        "item": workspace.item,
        "name": "Gaussian toy problem",
        "seed": workspace.protocol.seed,
        **recorded(),
        "weights": {},
        "features": toy.features,
        "reliable": toy.reliable,
        "mean": toy.mean,
        "bound": toy.bound(toy.accuracy(accurate)),
    }
    columns = {
        "eps": radii,
        "clean": [toy.accuracy(weight) for weight in weights],
        "attacked": [toy.accuracy(w, eps) for w, eps in zip(weights, radii.tolist(), strict=True)],
        "accurate_attacked": [toy.accuracy(accurate, eps) for eps in radii.tolist()],
    }
    return Record(header, {name: np.asarray(values) for name, values in columns.items()})

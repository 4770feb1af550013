"""The paper's figure 2: sigma against training, a line a trial.

Records of the kind ``training``, one a trial (:mod:`alp.records.record`): sigma, the
latent's signal-to-noise ratio and its bits, without which a sigma says nothing.
"""

from __future__ import annotations

import numpy as np

from alp.evaluation import About
from alp.experiments import EXPERIMENTS
from alp.experiments.workspace import Workspace
from alp.records import KIND_TRAINING, Record
from alp.records.record import LAYOUTS
from alp.seeding import recorded
from alp.training.train import Trained

CURVES = LAYOUTS[KIND_TRAINING].columns


@EXPERIMENTS.register("sigma", order=2, summary="figure 2: sigma against training")
def sigma(workspace: Workspace) -> list[Record]:
    """The curves of the purifiers of all trials, as their trainings kept them."""
    return [_of_trial(workspace, trial) for trial in range(workspace.protocol.trials)]


def _of_trial(workspace: Workspace, trial: int) -> Record:
    # Not the weights that a protocol may give: they have no curve.
    trained = workspace.train(f"purifier-{trial}", "purifier", trial=trial)
    about = workspace.about("purifier", trained.model, trial)
    return workspace.record(f"purifier-{trial}", about, lambda: _record(workspace, trained, about))


def _record(workspace: Workspace, trained: Trained, about: About) -> Record:
    kept = trained.record
    header = {
        "kind": KIND_TRAINING,
        "item": workspace.item,
        "name": about.name,
        "trial": about.trial,
        "seed": kept["seed"],
        **recorded(),
        "scale": workspace.protocol.scale,
        "steps": kept["steps"],
        "batch_size": kept["settings"]["optim"]["batch_size"],
        "psnr": kept["settings"]["rate"]["psnr"],
        "data": {"name": kept["data"], "split": kept["split"]},
        "data_digest": kept["data_digest"],
        "sigma": trained.model.sigma,  # type: ignore[union-attr]
        "weights": dict(about.weights),
    }
    return Record(header, {name: np.asarray(kept["curve"][name]) for name in CURVES})

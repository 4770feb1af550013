"""The paper's figure 4: penultimate features of clean, attacked and purified images.

Records of the kind ``embedding`` (:mod:`alp.records.record`), one a level of attacker
knowledge, of A-ALP + AT of trial 0 (``tsne``) and of the zero-shot purifier at the paper's sigma
(``zero-shot-tsne``): all three sets in one embedding, each point's prediction by the classifier
alone, and the share of its nearest clean images, in the space of the features, that have its class:
the number beside the picture.

The three pictures of an image that the paper shows, as its models see them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alp import seeding
from alp.data import Images
from alp.defences import Defended, ResNetLite
from alp.errors import AlpError, install
from alp.evaluation import About, generate
from alp.evaluation.header import attackers, header
from alp.experiments import EXPERIMENTS, trained
from alp.experiments.workspace import BATCH, Workspace
from alp.records import KIND_EMBEDDING, Record

SETS = ("clean", "attacked", "purified")
"""The image, the image attacked, and one purified draw of the latter."""


@dataclass(frozen=True)
class Views:
    """A batch."""

    index: Tensor
    """Positions among the images, (B,)."""
    labels: Tensor
    """Classes, (B,)."""
    pictures: dict[str, Tensor]
    """Set to images (B,3,H,W) in [0,1], on the workspace's device."""
    logits: dict[str, Tensor]
    """Set to logits (B,K): of the bare classifier for ``clean`` and ``attacked``, and of the whole
    defence, all draws, of the attacked image for ``purified``."""


def views(workspace: Workspace, model: Defended, level: str, images: Images) -> Iterator[Views]:
    """Batch by batch, attacked by who knows ``level`` under the protocol's threat and attack."""
    protocol, device = workspace.protocol, workspace.device
    here = deepcopy(model).to(device)
    done = 0
    for batch, (index, x, y) in enumerate(images.batches(BATCH)):
        x, y = x.to(device), y.to(device)
        attacked = generate(
            here, level, x, y, protocol.threat, protocol.attack, seed=protocol.seed, batch=batch
        )
        with torch.no_grad():
            source = seeding.generator(protocol.seed, "purify", batch, device=device)
            purified = here.purify(attacked, source)
            judging = seeding.generator(protocol.seed, "judge/views", batch, device=device)
            logits = {
                "clean": here.bare(x),
                "attacked": here.bare(attacked),
                "purified": here(attacked, judging),
            }
        done += len(x)
        workspace.report(f"attack {workspace.item} {level}", done, len(images), "")
        pictures = dict(zip(SETS, (x, attacked, purified), strict=True))
        yield Views(index, y, pictures, logits)


LEVELS = ("oblivious", "single")
"""Who attacks: one who does not know of the purifier, and one who does."""

NEIGHBOURS = 10
"""Nearest clean images that are asked for their class."""

PERPLEXITY = 30.0
"""Neighbours that t-SNE keeps together (van der Maaten and Hinton 2008); fewer where there are few
images."""

SHARE = 0.4
"""Of the protocol's images."""

ZERO_SHOT_SHARE = 0.25
"""Of the protocol's images, with the zero-shot purifier."""

ZERO_SHOT_SIGMA = 1.0
"""The paper's noise level, in units of the latent."""


@EXPERIMENTS.register(
    "tsne", order=5, summary="figure 4: features of clean, attacked and purified images"
)
def tsne(workspace: Workspace) -> list[Record]:
    """An embedding a level.

    Raises:
        AlpError: scikit-learn is not installed.
    """
    model = trained.defended(workspace, 0)
    return _levels(workspace, trained.DEFENDED, "defended-0", model, SHARE)


@EXPERIMENTS.register(
    "zero-shot-tsne", order=14, summary="figure 4 with a classifier that never saw an attack"
)
def zero_shot(workspace: Workspace) -> list[Record]:
    """An embedding a level, of the features of the classifier that is attacked.

    Raises:
        AlpError: scikit-learn is not installed.
    """
    model = trained.before(workspace, trained.standard(workspace), 1).at_sigma(ZERO_SHOT_SIGMA)
    return _levels(workspace, trained.ZERO_SHOT, "zero-shot", model, ZERO_SHOT_SHARE)


def _levels(
    workspace: Workspace, name: str, place: str, model: Defended, share: float
) -> list[Record]:
    if find_spec("sklearn") is None:
        item = workspace.item
        raise AlpError(f"the experiment {item} needs scikit-learn: {install('report')}")
    about = workspace.about(name, model)
    images = workspace.share_of_images(share)
    return [
        workspace.record(
            f"{place}-{level}", about, partial(_record, workspace, about, model, level, images)
        )
        for level in LEVELS
    ]


def _record(
    workspace: Workspace, about: About, model: Defended, level: str, images: Images
) -> Record:
    protocol = workspace.protocol
    network = cast(ResNetLite, model.classifier)
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in SETS}
    predictions: dict[str, list[NDArray[Any]]] = {name: [] for name in SETS}
    labels = images.labels.numpy()
    for batch in views(workspace, model, level, images):
        with torch.no_grad():
            for name in SETS:
                seen = network.features(batch.pictures[name].cpu())
                parts[name].append(seen.numpy())
                predictions[name].append(network.head(seen).argmax(1).numpy())
    features = {name: np.concatenate(each) for name, each in parts.items()}
    neighbours = min(NEIGHBOURS, len(labels) - 1)
    perplexity = min(PERPLEXITY, (3 * len(labels) - 1) / 3)
    places = _embedded(np.concatenate(list(features.values())), perplexity, protocol.seed)
    columns: dict[str, NDArray[Any]] = {"index": np.arange(len(labels)), "label": labels}
    for name, place in zip(SETS, np.split(places, len(SETS)), strict=True):
        shares = own_class(features[name], features["clean"], labels, neighbours)
        columns |= {
            f"{name}_x": place[:, 0],
            f"{name}_y": place[:, 1],
            f"{name}_prediction": np.concatenate(predictions[name]),
            f"{name}_share": shares,
        }
    own = {
        **attackers(protocol.attack, protocol.threat, [level]),
        "warnings": [],
        "level": level,
        "sets": list(SETS),
        "neighbours": neighbours,
        "perplexity": perplexity,
    }
    where = {"seed": protocol.seed, "batch_size": len(labels), "device": workspace.device}
    begun = header(KIND_EMBEDDING, about, images, protocol.threat, where, own)
    return Record(begun, columns)


def own_class(
    features: NDArray[Any], clean: NDArray[Any], labels: NDArray[Any], neighbours: int
) -> NDArray[Any]:
    """For each row of ``features`` (n,d) the share of its nearest rows of ``clean`` (n,d), the one
    of the same image left out, whose label is its own; Euclidean, (n,) in [0,1]."""
    pair = torch.from_numpy(features), torch.from_numpy(clean)
    # Not by a matrix product, whose rounding would make up an order among close neighbours.
    distance = torch.cdist(*pair, compute_mode="donot_use_mm_for_euclid_dist").numpy()
    np.fill_diagonal(distance, np.inf)
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :neighbours]
    same: NDArray[Any] = labels[nearest] == labels[:, None]
    return np.asarray(same.mean(1))


def _embedded(features: NDArray[Any], perplexity: float, seed: int) -> NDArray[Any]:
    """(n,d) to (n,2)."""
    # Asked how many cores there are, a helper of scikit-learn may warn of what it cannot find.
    os.environ.setdefault("LOKY_MAX_CPU_COUNT", str(torch.get_num_threads()))
    from sklearn.manifold import TSNE

    state = seeding.derive(seed, "tsne") % 2**32
    method = TSNE(perplexity=perplexity, init="pca", random_state=state)
    places: NDArray[Any] = np.asarray(method.fit_transform(features))
    return places

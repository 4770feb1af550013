"""The fixed, stratified split of a data set."""

from __future__ import annotations

import torch

from alp import seeding
from alp.data.images import Images
from alp.errors import DataError

VALIDATION_SEED = 20_250
VALIDATION_SHARE = 0.1
TEST_SHARE = 0.2


def stratified(
    labels: torch.Tensor, share: float, seed: int, purpose: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Split positions into (rest, part): ``part`` has the share of each class, and at least one.

    Both are sorted, disjoint, and together every position. A class's part depends on the seed, the
    purpose and the positions of that class only.

    Raises:
        DataError: a class has a single image, which cannot be in both.
    """
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in sorted(set(labels.tolist())):
        members = torch.nonzero(labels == label).flatten()
        if len(members) < 2:
            raise DataError(
                f"class number {label} has too few images to be split; add some, or remove it"
            )
        count = max(1, round(share * len(members)))
        order = torch.randperm(len(members), generator=seeding.generator(seed, purpose, label))
        chosen[members[order[:count]]] = True
    return torch.nonzero(~chosen).flatten(), torch.nonzero(chosen).flatten()


def carve_validation(pool: Images) -> tuple[Images, Images]:
    """(train, validation) of a training pool; everything that is chosen is chosen on the latter.

    The split is a function of ``VALIDATION_SEED`` and of the labels: no setting changes it, so that
    no model is ever validated on what another run of it was trained on.
    """
    train, validation = stratified(pool.labels, VALIDATION_SHARE, VALIDATION_SEED, "validation")
    return pool.subset(train, "train"), pool.subset(validation, "validation")

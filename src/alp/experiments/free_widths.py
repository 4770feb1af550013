"""What a wide latent lets pass where nothing asks all widths for one reconstruction.

The widths of ``bottleneck`` are trained to one PSNR, which takes away the very pass-through that
the paper speaks of. Here its two widths, 64 and 512 channels, are trained with that constraint,
with one weight of the rate for both, whose PSNR is free, and by the mean squared error alone. All
are small purifiers of a short training before a classifier that nobody fine-tuned.

Records of the kind ``points`` (:mod:`alp.records.points`), one a width and an objective, clean and
under the protocol's attack and radius at two levels. ``extra`` of the header has
``latent_channels`` and ``objective`` (in words).
"""

from __future__ import annotations

from alp.evaluation.grid import Point
from alp.experiments import EXPERIMENTS, trained
from alp.experiments.workspace import Workspace
from alp.records import Record

WIDTHS = (64, 512)
"""Channels that the paper compares."""

OBJECTIVES = {
    "one PSNR": {},
    "one weight of the rate": {"objective": "elbo"},
    "no rate": {"objective": "mse"},
}
"""What the training holds equal for both widths, to the settings of its objective."""

LEVELS = ("oblivious", "single")
"""What the attacker knows."""

SHARE = 0.2
"""Of the protocol's images."""


@EXPERIMENTS.register(
    "bottleneck-free", order=19, summary="64 and 512 channels without a constraint on PSNR"
)
def bottleneck_free(workspace: Workspace) -> list[Record]:
    """A purifier a width and an objective."""
    names = [(width, objective) for objective in OBJECTIVES for width in WIDTHS]
    return [_measured(workspace, *each) for each in names]


def _measured(workspace: Workspace, width: int, objective: str) -> Record:
    place = f"c{width}-{objective.replace(' ', '-')}"
    channels = {"latent_channels": width}
    purifier = trained.small(workspace, f"purifier-{place}", channels, OBJECTIVES[objective])
    protocol = workspace.protocol
    return workspace.points(
        place,
        f"{width} channels, {objective}",
        trained.behind(purifier, trained.standard(workspace), 1),
        protocol.attack,
        [Point(), *(Point(level, protocol.threat.eps) for level in LEVELS)],
        workspace.share_of_images(SHARE),
        extra={**channels, "objective": objective},
    )

"""The measure of the bottleneck: what latents of different widths let through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alp.experiments.claims import Claim
from alp.experiments.measures.base import Runs, Value, difference_of_means, same_images
from alp.records import KIND_POINTS, Kept, measured


def passed(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points by which the ``wide`` latent lets more of an attack through than the ``narrow`` one,
    as shares of its length."""
    records = [each for each in runs.get(claim.items[0], ()) if each.record.kind == KIND_POINTS]
    of_width = {_channels(each): each for each in records}
    setting = claim.setting or {}
    wide, narrow = (of_width.get(int(setting[name])) for name in ("wide", "narrow"))
    if wide and narrow and same_images([wide, narrow]):
        for level in claim.protocols:
            yield from _apart(level, narrow, wide)


def _apart(level: str, narrow: Kept, wide: Kept) -> Iterator[Value]:
    ends: Sequence[Kept] = (wide, narrow)
    shares = [
        point.passed for each in ends for point in measured(each.record) if point.level == level
    ]
    if len(shares) == len(ends):
        words = f"{level}, {_channels(wide)} over {_channels(narrow)} channels"
        yield difference_of_means(words, shares[0], shares[1], ends)


def _channels(kept: Kept) -> int:
    return int(kept.record.header["extra"]["latent_channels"])

"""``alp certify``: a radius for each image within which nothing changes the decision."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from alp.cli import COMMANDS
from alp.cli.common import (
    CALIBRATION,
    Chosen,
    Spread,
    calibration_images,
    frame_for,
    load_named,
)
from alp.cli.settings import POSITIONAL, among
from alp.config import positive, within
from alp.deploy.backends import BACKENDS, PRECISIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from alp.records import Record


@dataclass(frozen=True, kw_only=True)
class Settings(Chosen, Spread):
    """Certify classifiers under Gaussian noise on the pixels: by votes, a lower bound on their
    accuracy under every attack in L2 (Cohen et al. 2019). Each model gets a record in the folder,
    and is compared with the first one, image by image. Interrupted, the same command goes on where
    it stopped, and with a larger --budget it casts more votes on the images that are still open."""

    weights: tuple[Path, ...] = field(metadata=POSITIONAL)
    """Weights files, packaged names or references (docs/classifiers.md) of classifiers that are
    deterministic, or smoothed."""
    sigma: float | None = None
    """Standard deviation of the noise, on images in [0,1]; by default that of a smoothed model."""
    radii: tuple[float, ...] = (0.0, 0.25, 0.5)
    """L2 radii that have to be decided for each image."""
    alpha: float = 0.001
    """Largest probability that the certificate of an image is wrong."""
    budget: int = 20_000
    """Most votes for an image."""
    method: Literal["anytime", "fixed"] = "anytime"
    """anytime: stop voting as soon as each radius is decided; fixed: always the whole budget."""
    backend: str = field(default="eager", metadata=among(BACKENDS))
    """What computes the votes. Two backends are two classifiers with certificates of their own."""
    precision: str | None = field(default=None, metadata=among(PRECISIONS))
    """What the classifier computes in, as the backend can; by default that of a smoothed model, or
    float32. Two precisions are two classifiers too. int8 is calibrated on 512 training images
    under noise."""
    images: int | None = None
    """How many images, a fixed class-balanced choice; by default 500, or all of a smaller
    split."""
    usual = 500
    batch_size: int = 32
    """Images of a unit, which share their noise; it changes no vote."""
    attack: int = 0
    """Certified images that are attacked in L2 at 0.99 of their radius; the command fails where
    the decision of one changes."""

    def __post_init__(self) -> None:
        Chosen.__post_init__(self)
        Spread.__post_init__(self)
        positive(self, "batch_size")
        within(self, 0, 10**9, "attack")


@COMMANDS.register(
    "certify",
    order=3,
    summary="prove a radius for each image within which no attack changes the decision",
)
def run(settings: Settings) -> None:
    """Certify each model, attack certificates where asked to, and print what is proved."""
    from alp.cli.console import note, progress, show, table, warn
    from alp.cli.gather import remember_command, show_shares
    from alp.defences.plan import SamplingPlan
    from alp.evaluation.certificate_attack import attack_certificates
    from alp.evaluation.certify import CertifyConfig, certify_into, smoothed_of, voters
    from alp.executors.shares import ShareDone
    from alp.records.certificates import summarise_certificates

    plan = SamplingPlan(settings.radii, settings.alpha, settings.budget, settings.method)
    config = CertifyConfig(plan, settings.seed, settings.batch_size)
    crew = voters(settings.processes, settings.threads or None, settings.workers)
    models = load_named(settings.weights)
    frame = frame_for(models.values(), settings.size)
    images = settings.chosen_images(models.values())
    ranges = None
    if settings.precision == "int8":
        ranges = calibration_images(settings.data, settings.seed, CALIBRATION, frame)
    smoothed = {
        name: smoothed_of(
            model,
            settings.sigma,
            settings.precision,
            settings.backend,
            (images.images.shape[2], images.images.shape[3]),
            crew.size,
            ranges,
        )
        for name, model in models.items()
    }
    share, told, waiting = settings.own_share, [], []
    first: Record | None = None
    remember_command("certify", settings, share)
    with progress("images") as bar:
        for name, model in smoothed.items():
            cast, begun = 0, time.monotonic()

            def report(done: int, total: int, votes: int, name: str = name) -> None:
                nonlocal cast
                cast += votes
                bar(f"certify {name}", done, total, f"{cast:,} votes")

            try:
                record = certify_into(
                    settings.out,
                    name,
                    model,
                    images,
                    config,
                    report,
                    crew=crew,
                    share=share,
                    note=warn,
                )
            except ShareDone as done:
                waiting.append(str(done))
                continue
            if cast:
                rate = cast / (time.monotonic() - begun)
                note(f"certify {name}: {cast:,} votes, {rate:,.0f} a second")
            summary = summarise_certificates(record, beside=first)
            first = first or record
            if settings.attack:
                summary["attacked"] = attack_certificates(
                    model,
                    images,
                    record,
                    settings.attack,
                    seed=settings.seed,
                    progress=partial(bar, f"attack {name}"),
                )
            told.append(summary)
    if waiting:
        show_shares(settings.json, waiting, settings.out)
        return
    folder = settings.out / "records"
    show(
        settings.json,
        {"models": told, "records": str(folder)},
        table(certified_rows(told)),
        *lines(told),
        f"records    {folder}",
    )


def certified_rows(summaries: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
    """Headings, and certified accuracy at each radius, a row each; of several models also the
    difference to the first one, on the same images."""
    several = len(summaries) > 1
    headings = ["model", "radius (L2)", "implied Linf", "certified", "95 % interval"]
    yield headings + [f"paired with {summaries[0]['name']}"] * several
    for each in summaries:
        for row in each["certified"]:
            cells = [
                each["name"],
                f"{row['radius']:g}",
                f"{255 * row['linf']:.2f}/255",
                f"{100 * row['value']:.1f} %",
                f"{100 * row['low']:.1f} to {100 * row['high']:.1f}",
            ]
            yield cells + [_difference(row.get("paired"))] * several


def _difference(paired: Mapping[str, float] | None) -> str:
    if paired is None:  # the first model itself
        return ""
    low, high = 100 * paired["low"], 100 * paired["high"]
    return f"{100 * paired['value']:+.1f} ({low:+.1f} to {high:+.1f})"


def lines(summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the table leaves out, a few sentences for each model."""
    found = []
    for each in summaries:
        found += [
            f"{each['name']}: {each['images']:,} images, sigma {each['sigma']:g}, alpha "
            f"{each['alpha']:g}, {each['method']}, {each['precision']}; abstains on "
            f"{100 * each['abstained']:.1f} %",
            f"{each['votes']:,.0f} votes an image, {100 * each['votes_share']:.1f} % of 100,000; "
            f"the budget was spent on {100 * each['spent']:.1f} %",
            f"average certified radius {each['acr']:.3f}, a number that easy images dominate",
        ]
        found += [f"warning    {text}" for text in each["warnings"]]
        if "attacked" in each:
            found.append(
                f"attacked {each['attacked']['images']:,} certificates at 0.99 of their radius: "
                f"{each['attacked']['violations']} decisions changed"
            )
    return found

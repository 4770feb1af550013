"""``alp reproduce``: the experiments of the paper, from pixels to their page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alp.cli import COMMANDS
from alp.cli.common import Spread
from alp.cli.settings import POSITIONAL, RESUMED, among
from alp.executors.shares import ShareDone
from alp.experiments import EXPERIMENTS
from alp.experiments.protocol import Protocol

if TYPE_CHECKING:
    from alp.experiments.workspace import Placement


@dataclass(frozen=True, kw_only=True)
class Settings(Protocol, Spread):
    """Run experiments of the paper, all by default: train, attack, purify and evaluate what is
    missing in the folder, and write records, figures and report.html. Models are trained once for
    all of them. Interrupted, the same command goes on where it stopped."""

    item: tuple[str, ...] = field(default=(), metadata=POSITIONAL | among(EXPERIMENTS))
    """Which experiments. Of the paper: hierarchy (Table II), sigma (figure 2), sweep, tradeoff
    (figure 3), tsne (figure 4), reliability (figure 5) and grids (appendix). Its claims, measured
    otherwise: zero-shot-*, trained-sweep, sigma-starts, bottleneck*, compact, rate-distortion,
    robustness-curve, consensus, readings, spectra, unmodified, speed; honest: under adaptive
    attacks. Of the works that it cites: attacks (every attack, Linf and L2), robustness-cost
    (Tsipras et al. 2019), architectures, quantisation (of a diffusion model)."""
    out: Path = field(metadata=RESUMED)
    """Folder for models, records and report.html."""

    def __post_init__(self) -> None:
        Protocol.__post_init__(self)
        Spread.__post_init__(self)


@COMMANDS.register("reproduce", order=8, summary="run the experiments of the paper, all or some")
def run(settings: Settings) -> None:
    """Run the experiments."""
    from alp.cli.console import warn
    from alp.cli.gather import remember_command, show_shares
    from alp.experiments.workspace import Placement

    values = {each.name: getattr(settings, each.name) for each in fields(Protocol)}
    remember_command("reproduce", settings, settings.own_share)
    placement = Placement(settings.crew, settings.own_share, warn)
    protocol = Protocol(**values)
    try:
        show_experiments(settings.item, protocol, settings.out, placement, json=settings.json)
    except ShareDone as done:
        show_shares(settings.json, str(done).split("\n"), settings.out)


def show_experiments(
    names: Sequence[str],
    protocol: Protocol,
    folder: Path,
    placement: Placement | None = None,
    *,
    json: bool,
) -> None:
    """Run experiments with a progress bar, and print what came out."""
    from alp.cli.console import note, progress, quieten_engine, say, say_json
    from alp.cli.tables import show_section, with_latency
    from alp.experiments.cost import estimate
    from alp.experiments.reproduce import Item, reproduce

    quieten_engine()
    words = estimate(names or tuple(EXPERIMENTS), protocol, folder)
    if words:
        note(words)
    with progress() as show:
        done = reproduce(names, protocol, folder, show, placement)

    def values(item: Item) -> dict[str, Any]:
        kept: dict[str, Any] = {"records": len(item.records), "caption": item.caption}
        if item.table is None:
            return kept
        rows = [with_latency(row, item.records) for row in item.table["rows"]]
        return kept | {"table": item.table | {"rows": rows}}

    if json:
        items = {name: values(item) for name, item in done.items.items()}
        say_json({"items": items, "report": str(done.report)})
        return
    for name, item in done.items.items():
        if item.section:
            show_section(item.section, done.published)
        if item.caption:
            say(f"{name}: {item.caption}")
    say(f"report     {done.report}")

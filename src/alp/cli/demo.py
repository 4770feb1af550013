"""``alp demo``: the whole chain on the embedded data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from alp.cli import COMMANDS
from alp.cli.reproduce import show_experiments
from alp.cli.settings import RESUMED, Printed
from alp.experiments.protocol import Protocol

PROTOCOL = Protocol(scale="demo", trials=2, images=500)
"""Minutes on two cores, without a download."""

WORKERS = 4
"""Most processes that attack and evaluate."""


@dataclass(frozen=True, kw_only=True)
class Settings(Printed):
    """The whole chain in minutes, without a download: 'alp reproduce hierarchy grids --scale demo
    --trials 2 --images 500' on the embedded shapes. The paper's numbers are for CIFAR-10 and
    stand beside the measurements of 'alp reproduce hierarchy'."""

    out: Path = field(default=Path("runs/demo"), metadata=RESUMED)
    """Folder for models, records, table.json and report.html."""


@COMMANDS.register("demo", order=12, summary="the whole chain on embedded data, in minutes")
def run(settings: Settings) -> None:
    """Run the demo."""
    from alp.cli.console import warn
    from alp.evaluation.crew import Crew
    from alp.executors import cores
    from alp.executors.processes import Processes
    from alp.experiments.workspace import Placement

    # started once for all evaluations: their networks are too small for two threads
    with Processes().start(min(cores(), WORKERS), 1) as executor:
        placement = Placement(Crew(executor, threads=1), note=warn)
        show_experiments(
            ("hierarchy", "grids"), PROTOCOL, settings.out, placement, json=settings.json
        )

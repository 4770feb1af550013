"""``alp bench``: how fast a defended model is here, in which backend, and beside its peers."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from alp.cli import COMMANDS
from alp.cli.common import Sized, calibration_images, frame_for, images_of, name_of
from alp.cli.settings import POSITIONAL, WRITTEN, among
from alp.config import positive, require_number
from alp.deploy.backends import BACKENDS, PRECISIONS
from alp.deploy.consensus import Consensus
from alp.errors import AlpError, install

if TYPE_CHECKING:
    from alp.defences import Defended
    from alp.defences.base import Defence

POOL = 1024
"""Images of the data set that the calls take turns on."""

CALIBRATION = 256
"""Training images behind the ranges of int8."""


@dataclass(frozen=True, kw_only=True)
class Settings(Sized):
    """Time a defended model: one draw, all draws and the sequential consensus, in every backend,
    with the share of the measured matrix peak, and other defences beside them. All that is
    compared takes turns in one run. The folder gets the raw timings (bench.json, bench.parquet)
    and a plot (bench.svg)."""

    weights: Path = field(metadata=POSITIONAL)
    """Weights file or packaged name of a defended classifier."""
    data: str = "cifar10"
    """Images to time on: a data set, such as cifar10, or a folder of pictures laid out
    class/file. The draws of the consensus depend on them."""
    batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    """Images a call."""
    backends: tuple[str, ...] = field(
        default=("eager", "onnxruntime", "openvino"), metadata=among(BACKENDS)
    )
    """Backends; what is not installed is left out with a warning. compile takes minutes at first,
    and is for GPUs."""
    threads: tuple[int, ...] = (0,)
    """Processor threads; 0 for all cores."""
    precisions: tuple[str, ...] = field(default=("float32",), metadata=among(PRECISIONS))
    """Precisions, where a backend has them."""
    baselines: tuple[str, ...] = ("all",)
    """Other defences, timed at the smallest batch size: names (in front of the same classifier) and
    weights files; all: every one that needs no weights file; none. published-diffpure and
    published-one-step, by name alone, have the published network with random weights."""
    consensus: Consensus = field(default_factory=Consensus)
    """The sequential consensus; its draws are also what 'all draws' means."""
    rounds: int = 200
    """Rounds in which all take turns, for each batch size."""
    seconds: float = 2.0
    """Seconds that the calls of a contestant take in all: slow ones sit out some rounds, but for
    three."""
    seed: int = 0
    """Seed of the order in the rounds and of the choice of images."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    out: Path = field(metadata=WRITTEN)
    """Folder for the record and the plot."""

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "rounds", "seconds")
        for name in ("batches", "threads"):
            for value in getattr(self, name):
                require_number(name, value, int(name == "batches"), whole=True)


@COMMANDS.register(
    "bench", order=7, summary="time a model in every backend, and other defences beside it"
)
def run(settings: Settings) -> None:
    """Time, write the record and the plot, print the tables."""
    from alp.bench import bench
    from alp.cli.console import progress, show, warn
    from alp.cli.timings import timing_lines, timings_json
    from alp.defences.checkpoint import weights_digest
    from alp.defences.packaged import load_defended
    from alp.executors import device_of
    from alp.records import write
    from alp.report.figures.speed import write_plot

    if find_spec("matplotlib") is None:  # known before the benchmark has run for minutes
        raise AlpError(f"the plot needs matplotlib, which is not installed: {install('report')}")
    model = load_defended(settings.weights)
    frame = frame_for([model], settings.size)
    images = images_of(settings.data, "test", None, POOL, settings.seed, frame)
    calibration = None
    if "int8" in settings.precisions:
        calibration = calibration_images(settings.data, settings.seed, CALIBRATION, frame)
    with progress("rounds") as bar:
        record = bench(
            model.to(device_of(settings.device)),
            images.images.float() / 255,
            settings,
            name=name_of(settings.weights),
            baselines=_baselines(model, settings.baselines),
            calibration=calibration,
            weights=weights_digest(model),
            data={"name": images.name, "split": images.split, "digest": images.digest},
            progress=bar,
        )
    path = write(record, settings.out / "bench")
    write_plot(record, settings.out / "bench.svg")
    for text in record.header["warnings"]:
        warn(text)
    show(
        settings.json,
        timings_json(record) | {"record": str(path)},
        *timing_lines(record),
        f"record     {path}",
        f"plot       {settings.out / 'bench.svg'}",
    )


def _baselines(model: Defended, names: tuple[str, ...]) -> dict[str, Defence]:
    from alp.bench.published import PUBLISHED
    from alp.bench.run import BARE, baseline_names, baselines_before

    if names == ("none",):
        return {}
    every = [BARE, *baseline_names()]
    wanted = [name for each in names for name in (every if each == "all" else [each])]
    made = baselines_before(model.classifier, list(dict.fromkeys(wanted)))
    known = {*every, *PUBLISHED}
    return {name if name in known else name_of(Path(name)): each for name, each in made.items()}

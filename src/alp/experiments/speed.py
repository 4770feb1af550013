"""What a prediction costs beside a purifier by diffusion.

Record of the kind ``bench`` (:func:`alp.bench.bench`): A-ALP + AT of trial 0, one image a call, one
draw and all draws in every backend that is installed, and other defences beside it, all by turns in
one run. Time is what no repetition repeats: the record is made once and kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from alp.bench import Consensus, bench
from alp.bench.published import PUBLISHED, PublishedUNet, published
from alp.bench.run import baseline_names, baselines_before
from alp.defences import Defended
from alp.defences.base import Defence
from alp.defences.transforms import JPEG
from alp.errors import install
from alp.experiments import EXPERIMENTS, trained
from alp.experiments.workspace import Workspace
from alp.records import Record

SHARE = 0.05
"""Of the protocol's images, which the calls take turns on."""

_SMALL = PublishedUNet(
    block_out_channels=(8, 8),
    down_block_types=("DownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "UpBlock2D"),
    layers_per_block=1,
    norm_num_groups=4,
)


@dataclass(frozen=True)
class Turns:
    """How often everything is timed."""

    consensus: Consensus
    """Its draws are what 'all draws' means."""
    threads: tuple[int, ...]
    """Processor threads; 0 for all cores."""
    seed: int
    """Seed of the order."""
    backends: tuple[str, ...] = ("eager", "onnxruntime", "openvino")
    """What is not installed is left out with a warning."""
    rounds: int = 200
    """Rounds in which all take turns."""
    seconds: float = 2.0
    """Seconds that the calls of a contestant take in all; slow ones sit out some rounds."""
    batches: tuple[int, ...] = (1,)
    """Images a call."""
    precisions: tuple[str, ...] = ("float32",)
    """Of the backends."""


@EXPERIMENTS.register(
    "speed", order=12, summary="what a prediction costs beside a purifier by diffusion"
)
def speed(workspace: Workspace) -> list[Record]:
    """The record of one run of the benchmark."""
    model = trained.defended(workspace, 0)
    about = workspace.about(trained.DEFENDED, model)
    return [workspace.record("defended-0", about, lambda: _record(workspace, model))]


def _record(workspace: Workspace, model: Defended) -> Record:
    protocol = workspace.protocol
    images = workspace.share_of_images(SHARE)
    turns = Turns(Consensus(draws=model.draws), (protocol.engine.threads,), protocol.seed)
    if protocol.scale == "smoke":
        turns = Turns(turns.consensus, (1,), protocol.seed, ("eager",), rounds=3, seconds=0.05)
    baselines, warnings = _baselines(model, protocol.scale == "smoke")
    timed = bench(
        model.to(workspace.device),
        images.images.float() / 255,
        turns,
        name=trained.DEFENDED,
        baselines=baselines,
        data={"name": images.name, "split": images.split, "digest": images.digest},
        progress=lambda what, done, total: workspace.report(f"time {what}", done, total, ""),
    )
    own = {
        "item": workspace.item,
        "trial": 0,
        "weights": dict(workspace.about(trained.DEFENDED, model).weights),
        "warnings": [*timed.header["warnings"], *warnings],
    }
    return Record(timed.header | own, timed.columns)


def _baselines(model: Defended, small: bool) -> tuple[dict[str, Defence], list[str]]:
    """Other defences in front of the same classifier, and what is left out."""
    names, warnings = [*baseline_names(), *PUBLISHED], []
    if find_spec("diffusers") is None:
        warnings.append(
            f"the published network is left out: it needs diffusers ({install('baselines')})"
        )
        names = baseline_names()
    elif small:
        chain = published(model.classifier, PUBLISHED[0], _SMALL, steps=4)
        return {PUBLISHED[0]: chain, "jpeg": JPEG(model.classifier)}, warnings
    return baselines_before(model.classifier, names), warnings

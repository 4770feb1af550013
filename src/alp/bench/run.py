"""The benchmark: what is timed in one run, batch size by batch size, as a record.

Timing by turns: every contestant in every round, so that a noisy machine hurts all alike.

What is timed: the deployed predictions of every engine, the baselines, and the matrix peak.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from alp import seeding
from alp.bench.latency import timed
from alp.bench.roofline import count, product, sides, with_threads
from alp.defences.adapters import as_defence
from alp.defences.base import Defence
from alp.deploy.consensus import Consensus as Consensus
from alp.deploy.engine import Floats, cores
from alp.errors import AlpError, ConfigError, choose
from alp.files import exists
from alp.records import KIND_BENCH, SCHEMA, Record
from alp.records.record import versions
from alp.usage import peak_memory

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from alp.defences import Defended
    from alp.deploy import Consensus, Engine


LEAST = 3
"""Calls of a contestant, however long it takes."""

Call = Callable[[int], float]
"""Number of the round -> draws that an image took, NaN where the word has no meaning."""


@dataclass(frozen=True, eq=False)
class Contestant:
    """One thing to be timed."""

    name: str
    """Unlike those of all others in its rounds."""
    call: Call = field(repr=False)
    """What is timed."""


class Timing(NamedTuple):
    """One timed call."""

    contestant: str
    round: int
    ms: float
    draws: float


def take_turns(
    contestants: Sequence[Contestant],
    rounds: int,
    seconds: float,
    seed: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Iterator[Timing]:
    """Time the contestants in ``rounds`` rounds, each round in another random order.

    Each is called twice first: the first call may pay for what is set up once, the second tells
    how long one takes. A contestant whose calls would take longer than ``seconds`` in all sits out
    some rounds, evenly spread, but takes part in ``LEAST`` at least.
    """
    counts = {}
    for each in contestants:
        each.call(0)
        counts[each.name] = turns(timed(partial(each.call, 0), device)[0], rounds, seconds)
    random = np.random.default_rng(seeding.derive(seed, "turns"))
    for number in range(rounds):
        for position in random.permutation(len(contestants)):
            each = contestants[position]
            if number * counts[each.name] % rounds < counts[each.name]:
                ms, draws = timed(partial(each.call, number), device)
                yield Timing(each.name, number, ms, draws)
        progress(number + 1, rounds)


def turns(ms: float, rounds: int, seconds: float) -> int:
    """In how many of the rounds a call of ``ms`` milliseconds takes part."""
    affordable = int(1000 * seconds / max(ms, 1e-6))
    return min(rounds, max(LEAST, affordable))


WHATS = ("draw", "draws", "consensus")
"""The deployed predictions: one draw, all draws, as many as the decision takes."""


@dataclass(frozen=True, eq=False)
class Entry:
    """A contestant, and what the record says of it."""

    contestant: Contestant
    """What is timed."""
    about: dict[str, Any]
    """``what`` (draw, draws, consensus, peer, peak), and what else it has of ``backend``,
    ``precision``, ``threads``, ``peer``, ``settings`` and ``flops`` (of the peak)."""


Batches = Callable[[int], NDArray[np.float32]]
"""Number of the round -> images (B,3,H,W)."""


def batches(images: NDArray[np.float32], size: int) -> Batches:
    """Another batch of ``images`` (P,3,H,W) in every round, from the start again at their end."""

    def batch(number: int) -> NDArray[np.float32]:
        rows = (number * size + np.arange(size)) % len(images)
        return np.ascontiguousarray(images[rows])

    return batch


def engine_entries(
    engine: Engine, name: dict[str, Any], batch: Batches, consensus: Consensus
) -> list[Entry]:
    """One draw, all draws and the consensus of an engine; its noise is drawn in the call, from
    the operating system's entropy as in serving."""

    def one(number: int) -> float:
        engine.predict(batch(number), 1)
        return 1.0

    def every(number: int) -> float:
        engine.predict(batch(number), consensus.draws)
        return float(consensus.draws)

    def decided(number: int) -> float:
        return float(engine.vote(batch(number), consensus).draws.mean())

    calls: dict[str, Call] = dict(zip(WHATS, (one, every, decided), strict=True))
    title = f"{name['backend']} {name['precision']} {name['threads']}"
    return [
        Entry(Contestant(f"{title} {what}", call), {"what": what, **name})
        for what, call in calls.items()
    ]


def baselines_before(classifier: nn.Module, names: Sequence[str]) -> dict[str, Defence]:
    """The named defences in front of ``classifier``, with the settings of their papers; those by
    diffusion have the packaged noise predictor, those of ``PUBLISHED`` a random one, and ``bare``
    is the classifier alone. Any other name is that of a weights file or a packaged model, which
    brings a classifier of its own.

    Raises:
        CheckpointError: there are no such weights.
        ConfigError: there is no such baseline, or one needs what is not installed.
    """
    from alp.bench.published import PUBLISHED, published
    from alp.defences.assemble import assemble, made_of
    from alp.defences.diffusion import Diffusion
    from alp.defences.packaged import OFFERS, load_classifier, load_kind, packages

    chains = made_of("classifier", "diffusion")
    diffusion = load_kind(DIFFUSION, Diffusion) if set(chains) & set(names) else None
    made: dict[str, Defence] = {}
    for name in names:
        if name == BARE:
            made[name] = as_defence(classifier)
        elif name in PUBLISHED:
            made[name] = published(classifier, name)
        elif name in chains:
            made[name] = assemble(name, classifier, diffusion)
        elif name in baseline_names():
            made[name] = assemble(name, classifier)
        elif name in (*packages(), *OFFERS) or exists(Path(name)) or "/" in name or ":" in name:
            made[name] = load_classifier(Path(name))
        else:
            every = ", ".join([*baseline_names(), *PUBLISHED])
            raise ConfigError(
                f"the baseline is {name[:300]!r}; give a defence ({every}), a packaged name, or a "
                "weights file"
            )
    return made


def baseline_names() -> list[str]:
    """Every registered defence that is made of a classifier and nothing else, or of one and a
    diffusion model. Those of the published diffusion network, whose weights are random, are not
    among them."""
    from alp.defences.assemble import made_of

    return sorted([*made_of("classifier"), *made_of("classifier", "diffusion")])


def baseline_entry(
    name: str, baseline: Defence, threads: int, batch: Batches, device: torch.device
) -> Entry:
    """Another defence, in PyTorch as its authors run it; its detectors, where it has any, look at
    the image too."""
    import torch

    baseline = baseline.to(device).eval()
    source = seeding.generator(0, "peer", device=device)

    detects = "rejects" in baseline.capabilities

    def call(number: int) -> float:
        x = torch.from_numpy(batch(number)).to(device)
        with with_threads(threads):
            baseline(x, source)
            if detects:
                baseline.rejects(x)
        return math.nan

    about = {"what": "peer", "peer": name, "threads": threads, "settings": baseline.settings}
    return Entry(Contestant(f"peer {name}", call), about)


def peak_entries(precision: str, threads: int, device: torch.device) -> list[Entry]:
    """The matrix products of which the fastest is the peak.

    Raises:
        UnknownNameError: no product is known in this precision.
    """
    entries = []
    for side in sides(device):
        call, flops = product(precision, threads, side, device)
        about = {"what": "peak", "precision": precision, "threads": threads, "flops": flops}
        entries.append(Entry(Contestant(f"peak {precision} {threads} {side}", call), about))
    return entries


BARE = "bare"
"""The name of the classifier alone among the baselines."""

DIFFUSION = Path("cifar10-lite/diffusion")
"""The packaged noise predictor of the baselines by diffusion."""

LIBRARIES = ("onnxruntime", "openvino", "diffusers")

Progress = Callable[[str, int, int], object]


class Terms(Protocol):
    """What is timed, and how often; the command line's settings are such terms."""

    @property
    def batches(self) -> tuple[int, ...]: ...
    @property
    def backends(self) -> tuple[str, ...]: ...
    @property
    def threads(self) -> tuple[int, ...]: ...
    @property
    def precisions(self) -> tuple[str, ...]: ...
    @property
    def consensus(self) -> Consensus: ...
    @property
    def rounds(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def seed(self) -> int: ...


def bench(
    model: Defended,
    images: Tensor,
    terms: Terms,
    *,
    name: str,
    baselines: Mapping[str, Defence],
    calibration: Floats | None = None,
    weights: str = "",
    data: Mapping[str, Any] | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Record:
    """Time ``model`` in every backend, on every number of threads and in every precision, and at
    the smallest batch size other defences beside it.

    All that shares a batch size takes turns (:func:`alp.bench.run.take_turns`). What a backend
    cannot do is left out with a warning.

    Args:
        images: (P,3,H,W) float32 in [0,1], on which all are timed; how many draws the sequential
            consensus takes depends on them.
        name: what the model is called.
        baselines: other defences, by name.
        calibration: clean training images for int8; see :func:`alp.deploy.build`.
        weights: digest of the model's weights, for the header.
        data: what ``images`` are, for the header.

    Raises:
        ConfigError: no backend could be built.
        UnknownNameError: a backend is not registered.
    """
    device = next(model.parameters()).device
    threads = tuple(dict.fromkeys(cores(number) for number in terms.threads))
    size = (int(images.shape[2]), int(images.shape[3]))
    engines, warnings = build_engines(model, terms, threads, size, calibration)
    pool = images.cpu().numpy().astype(np.float32)
    flops = count(model, size)
    memory = {"built": peak_memory()}
    for what, draws in (("one draw", 1), ("all draws", terms.consensus.draws)):
        for _, engine in engines:
            engine.predict(batches(pool, min(terms.batches))(0), draws)
        memory[what] = peak_memory()
    timings: list[tuple[int, Timing]] = []
    described: dict[str, dict[str, Any]] = {}
    for batch_size in sorted(set(terms.batches)):
        batch = batches(pool, batch_size)
        entries: list[Entry] = []
        for about, engine in engines:
            entries += engine_entries(engine, about, batch, terms.consensus)
        for precision in dict.fromkeys(about["precision"] for about, _ in engines):
            for number in threads:
                entries += peak_entries(precision, number, device)
        if batch_size == min(terms.batches):
            entries += [
                baseline_entry(key, baseline, max(threads), batch, device)
                for key, baseline in baselines.items()
            ]
        described |= {each.contestant.name: each.about for each in entries}
        turns = take_turns(
            [each.contestant for each in entries],
            terms.rounds,
            terms.seconds,
            terms.seed,
            device,
            lambda done, total, size=batch_size: progress(f"batch {size}", done, total),  # type: ignore[misc]
        )
        timings += [(batch_size, timing) for timing in turns]
    header = {
        "schema": SCHEMA,
        "kind": KIND_BENCH,
        "name": name,
        "contestants": described,
        "flops": asdict(flops),
        "memory": {what: round(each / 2**20) for what, each in memory.items()},
        "consensus": asdict(terms.consensus),
        "size": size,
        "threads": threads,
        "rounds": terms.rounds,
        "seconds": terms.seconds,
        "seed": terms.seed,
        **seeding.recorded(),
        "device": device_name(device),
        "data": dict(data or {}),
        "weights": weights,
        "versions": versions() | library_versions(),
        "warnings": warnings,
    }
    return Record(header, columns(timings))


def build_engines(
    model: Defended,
    terms: Terms,
    threads: tuple[int, ...],
    size: tuple[int, int],
    calibration: Floats | None,
) -> tuple[list[tuple[dict[str, Any], Engine]], list[str]]:
    """Every engine that can be built, each with its backend, precision and threads, and why the
    others cannot.

    Raises:
        UnknownNameError: a backend is not registered.
        ConfigError: none can be built.
    """
    from alp.deploy.backends import BACKENDS, build

    engines, warnings = [], []
    for name in terms.backends:
        choose(BACKENDS, name, "backend")  # not among what is left out with a warning
        for precision in terms.precisions:
            for number in threads:
                try:
                    engine = build(
                        name, model, number, precision, size=size, calibration=calibration
                    )
                except AlpError as error:
                    warnings.append(str(error))
                    break
                about = {"backend": name, "precision": precision, "threads": number}
                engines.append((about, engine))
    if not engines:
        raise ConfigError("no backend can run: " + "; ".join(dict.fromkeys(warnings)))
    return engines, list(dict.fromkeys(warnings))


def columns(timings: list[tuple[int, Timing]]) -> dict[str, Any]:
    """The raw timings, one row a call."""
    return {
        "batch": np.array([size for size, _ in timings], np.int64),
        "contestant": np.array([each.contestant for _, each in timings]),
        "round": np.array([each.round for _, each in timings], np.int64),
        "ms": np.array([each.ms for _, each in timings], np.float64),
        "draws": np.array([each.draws for _, each in timings], np.float64),
    }


def library_versions() -> dict[str, str]:
    """The versions of those libraries behind backends and baselines that are installed."""
    return {name: version(name) for name in LIBRARIES if find_spec(name)}


def device_name(device: torch.device) -> str:
    """The name of the GPU, or the model of the processor."""
    import platform

    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

"""The benchmark: what is timed in one run, batch size by batch size, as a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from alp.bench.entries import Entry, batches, engine_entries, peak_entries, peer_entry
from alp.bench.flops import count
from alp.bench.peers import Peer
from alp.bench.rounds import Timing, take_turns
from alp.bench.summary import KIND_BENCH
from alp.deploy.consensus import Consensus as Consensus
from alp.deploy.engine import Floats, cores
from alp.errors import AlpError, ConfigError, choose
from alp.evaluation.header import versions
from alp.evaluation.records import SCHEMA, Record

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from alp.deploy import Engine
    from alp.models import Defended

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
    peers: Mapping[str, Peer],
    calibration: Floats | None = None,
    weights: str = "",
    data: Mapping[str, Any] | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Record:
    """Time ``model`` in every backend, on every number of threads and in every precision, and at
    the smallest batch size the peers beside it.

    All that shares a batch size takes turns (:func:`alp.bench.rounds.take_turns`). What a backend
    cannot do is left out with a warning.

    Args:
        images: (P,3,H,W) float32 in [0,1], on which all are timed; how many draws the sequential
            consensus takes depends on them.
        name: what the model is called.
        calibration: clean training images for int8; see :meth:`alp.deploy.backends.Backend.build`.
        weights: digest of the model's weights, for the header.
        data: what ``images`` are, for the header.

    Raises:
        ConfigError: no backend could be built, or a peer needs what is not installed.
        UnknownNameError: a backend or peer is not registered.
    """
    device = next(model.parameters()).device
    threads = tuple(dict.fromkeys(cores(number) for number in terms.threads))
    size = (int(images.shape[2]), int(images.shape[3]))
    engines, warnings = build_engines(model, terms, threads, size, calibration)
    pool = images.cpu().numpy().astype(np.float32)
    flops = count(model, size)
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
                peer_entry(key, peer, model, max(threads), batch, device)
                for key, peer in peers.items()
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
        "consensus": asdict(terms.consensus),
        "size": size,
        "threads": threads,
        "rounds": terms.rounds,
        "seconds": terms.seconds,
        "seed": terms.seed,
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
    from alp.deploy.backends import BACKENDS

    engines, warnings = [], []
    for name in terms.backends:
        backend = choose(BACKENDS, name, "backend")
        for precision in terms.precisions:
            for number in threads:
                try:
                    engine = backend.build(
                        model, number, precision, size=size, calibration=calibration
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
    """The versions of those libraries behind backends and peers that are installed."""
    return {name: version(name) for name in LIBRARIES if find_spec(name)}


def device_name(device: torch.device) -> str:
    """The name of the GPU, or the model of the processor."""
    import platform
    from pathlib import Path

    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

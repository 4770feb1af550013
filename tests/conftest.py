"""Shared by all tests: the machine's settings, the real CIFAR-10 where it is at hand, small
models whose every weight counts, and a benchmark's record with known timings."""

from __future__ import annotations

import math
import os

# Before torch: waiting threads that spin slow a shared machine down several times.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:  # a process a core already
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import importlib
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from torch import Tensor, nn

from alp.config import ClassifierConfig, DiffusionConfig, PurifierConfig
from alp.defences import Purifier, ResNetLite
from alp.defences.diffpure import DiffPure
from alp.defences.diffusion import Diffusion
from alp.records import KIND_BENCH, Record
from alp.seeding import generator, initialising, normal, uniform

# ALP_CASES=10000 tries that many examples of every property. A busy machine is no failure, and what
# hangs runs into the time limit of its test.
settings.register_profile(
    "alp", max_examples=int(os.environ.get("ALP_CASES", "100")), deadline=None
)
settings.load_profile("alp")

NOISES = ["learned", "per-channel", "fixed"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Files with slow tests first: one that is left to the end keeps one process busy, and no other.
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])
    if os.environ.get("ALP_DATA"):
        return
    skip = pytest.mark.skip(reason="needs CIFAR-10: set ALP_DATA to the folder above cifar10/")
    for item in items:
        if item.get_closest_marker("cifar10"):
            item.add_marker(skip)


def forked(call: Callable[[], bytes]) -> bytes:
    """What ``call`` gives in a process forked now; up to the 64 KiB that a pipe holds."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, call())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as answer:
        return answer.read()


@pytest.fixture
def answers_of_forks() -> Callable[[Callable[[], bytes]], set[bytes]]:
    """The different answers of three processes forked now; none of them empty."""
    if not hasattr(os, "fork"):
        pytest.skip("processes cannot be forked here")

    def ask(call: Callable[[], bytes]) -> set[bytes]:
        answers = {forked(call) for _ in range(3)}
        assert b"" not in answers
        return answers

    return ask


@pytest.fixture
def cifar10() -> Path:
    """The folder that holds ``cifar10/``; for tests marked ``cifar10``."""
    return Path(os.environ["ALP_DATA"])


def stirred(model: nn.Module) -> nn.Module:
    """Some layers start at zero: moved, so that a wrong one cannot hide."""
    source = generator(0, "stir")
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter += 0.05 * normal(parameter.shape, source)
    return model.eval()


@pytest.fixture(params=NOISES)
def purifier(request: pytest.FixtureRequest) -> Purifier:
    """A purifier of every kind of noise."""
    return make_purifier(request.param)


@pytest.fixture
def new_purifier() -> Callable[..., Purifier]:
    """Make a purifier with these settings."""
    return make_purifier


def make_purifier(noise: str = "learned", **settings) -> Purifier:
    with initialising(0, "purifier"):
        small = {"latent_channels": 8, "width": 8, "blocks": 1, **settings}
        model = stirred(Purifier(PurifierConfig(noise=noise, **small)))
    with torch.no_grad():
        if noise == "per-channel":
            model.noise.rho += torch.linspace(-1, 1, 8).view(8, 1, 1)
    return model


@pytest.fixture
def new_classifier() -> Callable[..., ResNetLite]:
    """Make a classifier of this size."""

    def make(size: str = "tiny", classes: int = 4) -> ResNetLite:
        with initialising(0, "classifier"):
            model = stirred(ResNetLite(ClassifierConfig(size, classes)))
        with torch.no_grad(), initialising(0, "statistics"):
            model.train()(torch.rand(8, 3, 16, 16))  # running statistics that are not the start's
        return model.eval()

    return make


@pytest.fixture
def new_chain(new_classifier: Callable[..., ResNetLite]) -> Callable[..., DiffPure]:
    """Make a chain of diffusion of this width, whose every weight counts."""

    def make(width: int = 2) -> DiffPure:
        with initialising(0, "diffusion"):
            model = Diffusion(DiffusionConfig(width=width)).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.1 * normal(parameter.shape, generator(0, "stir"))
        return DiffPure(new_classifier(), model, steps=4, gradient_steps=4).eval()

    return make


@pytest.fixture
def new_images() -> Callable[..., Tensor]:
    """Make a batch of images of this size."""
    return lambda *size, seed=0: uniform((size[0], 3, *size[1:]), generator(seed, "images"))


@pytest.fixture
def bench_record_of() -> Callable[..., Record]:
    """A benchmark's record: (batch, what, backend) to milliseconds in each round."""

    def make(timings: dict[tuple[int, str, str], list[float]], draws: float = 20) -> Record:
        contestants: dict[str, Any] = {}
        rows: list[tuple[int, str, int, float, float]] = []
        for (batch, what, backend), values in timings.items():
            name = f"{what} {backend}"
            taken = {"draw": 1.0, "draws": draws, "consensus": draws / 2}.get(what, math.nan)
            about = {"what": what, "threads": 2, "precision": "float32", "backend": backend}
            if what == "peer":
                about = {"what": what, "threads": 2, "peer": backend}
            if what == "peak":
                about["flops"] = 6000
            contestants[name] = about
            rows += [(batch, name, number, ms, taken) for number, ms in enumerate(values)]
        header = {
            "kind": KIND_BENCH,
            "name": "toy",
            "device": "a processor",
            "contestants": contestants,
            "flops": {"encoder": 1000, "draw": 100},
            "consensus": {"draws": int(draws)},
            "size": [32, 32],
            "threads": [2],
            "rounds": 3,
            "warnings": [],
        }
        names = ("batch", "contestant", "round", "ms", "draws")
        columns = {
            name: np.array(values)
            for name, values in zip(names, zip(*rows, strict=True), strict=True)
        }
        return Record(header, columns)

    return make


@pytest.fixture
def bench_record(bench_record_of) -> Record:
    """A benchmark of two backends, a baseline and the peak, each with times that do not scatter."""
    return bench_record_of(
        {
            (1, "draw", "eager"): [2.0] * 3,
            (1, "draws", "eager"): [22.0] * 3,
            (1, "consensus", "eager"): [6.0] * 3,
            (1, "draw", "fast"): [1.0] * 3,
            (1, "draws", "fast"): [8.0] * 3,
            (1, "consensus", "fast"): [1.0, 1.0, 4.0],
            (1, "peak", ""): [4.0] * 3,
            (1, "peer", "published-diffpure"): [900.0] * 3,
        }
    )


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """``outside(registry, name, value, text)``: installs a package of another author, a module
    with ``text`` and the entry point ``name = value`` in the registry's group."""
    before, installed = set(sys.modules), []

    def install(registry: Any, name: str, value: str, text: str) -> None:
        module = value.partition(":")[0]
        information = tmp_path / f"{module}-1.dist-info"
        information.mkdir()
        (tmp_path / f"{module}.py").write_text(text)
        (information / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n"
        )
        (information / "entry_points.txt").write_text(f"[{registry.group}]\n{name} = {value}\n")
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()
        installed.append((registry, name))
        vars(registry).pop("_places", None)  # read again

    yield install
    for registry, name in installed:
        registry._held.pop(name, None)
        vars(registry).pop("_places", None)
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]

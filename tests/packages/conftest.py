"""Finished trainings, records of their evaluation and a package of them, all tiny and made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from rows import finish, models

from alp.data import Images
from alp.defences import packaged as packaged_module
from alp.defences.packaged import Package
from alp.experiments.release import pack
from alp.records import Record
from alp.report.card import render_card
from alp.seeding import generator, uniform


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Row to the folder of its training."""
    root = tmp_path_factory.mktemp("runs")
    return {row: finish(root / row, row, model) for row, model in models().items()}


@pytest.fixture(scope="session")
def toy() -> Images:
    """Images on which the precision is decided."""
    pixels = uniform((20, 3, 8, 8), generator(0, "toy")).mul(255).to(torch.uint8)
    return Images.of(pixels, torch.arange(20) % 3, "abc", "toy", "validation")


@pytest.fixture(scope="session")
def package(
    trained: dict[str, Path], toy: Images, tmp_path_factory: pytest.TempPathFactory
) -> Package:
    """The package ``toy`` of all of them, without an evaluation."""
    return pack("toy", trained, tmp_path_factory.mktemp("weights"), toy, render_card)


@pytest.fixture
def installed(package: Package, monkeypatch: pytest.MonkeyPatch) -> Package:
    """The same, as the one package of this installation."""
    monkeypatch.setattr(packaged_module, "ROOT", package.folder.parent)
    return package


@pytest.fixture
def verdict() -> Callable[..., Record]:
    """A verdict record of ``weights`` in which the first ``right`` of 100 images withstand."""

    def make(weights: str, right: int, draws: int = 1, suite: str = "standard") -> Record:
        def column(count: int) -> np.ndarray:
            return np.where(np.arange(100) < count, 2, 0)

        return Record(
            {
                "kind": "verdict", "name": "row", "trial": 0, "draws": draws, "suite": suite,
                "evaluations": 2, "seed": 0, "sigma": None, "device": "cpu", "warnings": ["mind"],
                "threat": {"name": "linf", "eps": 8 / 255}, "data_digest": "d",
                "data": {"name": "cifar10", "split": "test", "classes": ["a", "b", "c"]},
                "entries": [{"name": "e", "level": "eot", "closing": False}],
                "knowledge": {"eot": "Averages."}, "weights": {"model": weights}, "versions": {},
                "checks": [{"check": "null", "passed": False, "words": "luck suspected"}],
            },
            {
                "psnr": np.full(100, 26.0),
                "clean_select": column(80), "clean_fresh": column(80),
                "e_attacked": np.ones(100, bool), "e_select": column(right),
                "e_fresh": column(right),
            },
        )  # fmt: skip

    return make

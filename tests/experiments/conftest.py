"""Records made by hand, and one run of all experiments on a handful of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alp.attacks import PGD
from alp.config import EngineConfig
from alp.experiments.protocol import Protocol
from alp.experiments.reproduce import reproduce
from alp.records import Record

IMAGES = 200


def _correct(share: float):
    return np.arange(IMAGES) < share * IMAGES


@pytest.fixture
def make_record():
    def make(name: str = "A-ALP + AT", *, clean=0.8, single=0.3, psnr=25, **header) -> Record:
        return Record(
            {
                "kind": "robustness",
                "name": name,
                "trial": 0,
                "draws": 20,
                "images": IMAGES,
                "data": {"name": "cifar10", "split": "test"},
                "data_digest": "d1" * 32,
                "threat": {"name": "linf", "eps": 8 / 255},
                "attack": {"name": "pgd", "steps": 7, "step_size": 2 / 255},
                "knowledge": {"single": "one draw"},
                "weights": {"model": "c1" * 32},
                "sigma": 0.2,
                "latency": {call: {"median_ms": 13.5} for call in ("draw", "predict")},
                "warnings": [],
                **header,
            },
            {
                "clean_correct": _correct(clean),
                "psnr": np.full(IMAGES, psnr, np.float32),
                "ssim": np.full(IMAGES, 0.9, np.float32),
                "single_correct": _correct(single),
                "single_zero_gradient": _correct(0),
            },
        )

    return make


@pytest.fixture(scope="session")
def protocol(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Protocol]:
    """Scale smoke on three classes of 40 pictures of 16x16, told apart by their brightness."""
    folder = tmp_path_factory.mktemp("data") / "tiny"
    random = np.random.default_rng(0)
    for number, name in enumerate(("dark", "grey", "light")):
        (folder / name).mkdir(parents=True)
        for index in range(40):
            pixels = random.integers(0, 60, (16, 16, 3)) + 70 * number
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{index}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield Protocol(
            scale="smoke",
            data=str(folder),
            images=9,
            draws=2,
            attack=PGD(steps=2),
            engine=EngineConfig(threads=1),
        )


@pytest.fixture(scope="session")
def whole(protocol: Protocol, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one run of all experiments; nobody changes it."""
    folder = tmp_path_factory.mktemp("reproduced")
    reproduce((), protocol, folder)
    return folder

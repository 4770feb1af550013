"""A tiny folder of pictures, weights trained on it at smoke scale, and the command in-process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alp.cli import main


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Weights:
    """Weights files of each kind."""

    purifier: Path
    classifier: Path
    defended: Path


Alp = Callable[..., Outcome]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def alp(capsys: pytest.CaptureFixture[str]) -> Alp:
    """Run ``alp`` with the given arguments."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Outcome(status, out, err)

    return run


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 40 noisy pictures of 16x16, told apart by their brightness."""
    folder = tmp_path_factory.mktemp("data") / "tiny"
    random = np.random.default_rng(0)
    for number, name in enumerate(("dark", "grey", "light")):
        (folder / name).mkdir(parents=True)
        for index in range(40):
            pixels = random.integers(0, 60, (16, 16, 3)) + 70 * number
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{index}.png")
    return folder


@pytest.fixture(scope="session")
def weights(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """One training of each kind."""
    root = tmp_path_factory.mktemp("runs")
    made = Weights(
        *(root / name / "weights.safetensors" for name in ("purifier", "plain", "defended"))
    )
    common = ["--scale", "smoke", "--data", str(pictures), "--engine.threads", "1"]
    parents = ["--purifier", str(made.purifier), "--classifier", str(made.classifier)]
    for recipe, path, more in (
        ("purifier", made.purifier, []),
        ("standard", made.classifier, ["--stage.optim.epochs", "3"]),
        ("standard-purified", made.defended, parents),
    ):
        assert main(["train", recipe, "--out", str(path.parent), *common, *more]) == 0
    return made

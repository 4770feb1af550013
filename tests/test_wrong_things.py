"""Things of another kind than a public function takes: an error of alp's that names the repair."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import alp
from alp.config import PurifierConfig
from alp.errors import AlpError
from alp.executors import device_of


class Transposed(nn.Module):
    """A classifier that answers (K,B)."""

    def forward(self, x):
        return x.flatten(1)[:, :10].T


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda folder: alp.certify(plain(), ([0], [0]), sigma=0.25), "the data is a tuple; give"),
        (lambda folder: alp.Smoothed("x", sigma=0.25), "the base is a str; give"),
        (lambda folder: alp.certify(lambda x: x, shapes(), sigma=0.25), "is a function; give"),
        (lambda folder: alp.save(nn.Linear(2, 2), folder / "w"), "Linear is no model of alp's"),
        (lambda folder: alp.export_onnx("x", folder / "e"), "what is exported is a str"),
        (lambda folder: alp.conclude({}), "a dict is no record; give"),
        (lambda folder: alp.defend(Transposed(), purifier())(shapes().batch(two())[0]),
         "the classifier answers"),
    ],
)  # fmt: skip
def test_it_is_named(call, message: str, tmp_path: Path) -> None:
    with pytest.raises(AlpError, match=message):
        call(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_gpu_that_is_not_there_is_not_the_cpu() -> None:
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("there is a GPU")
    assert device_of("auto") == "cpu"
    with pytest.raises(AlpError, match="no device 'gpu'; give one of: auto, cpu"):
        device_of("gpu")


def plain() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)).eval()


def shapes() -> alp.Images:
    return alp.load_data("shapes", "test").take(20)


def purifier() -> nn.Module:
    return alp.Purifier(PurifierConfig(4, 4, 1)).eval()


def two() -> torch.Tensor:
    return torch.arange(2)

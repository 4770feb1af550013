"""A user's own network in the forms that references name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import alp

CODE = '''
"""A user's file."""
import torch
from torch import nn

from beside import WIDTH


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTH, 3, 2, 1)
        self.norm = nn.BatchNorm2d(WIDTH)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, x):
        return self.head(self.drop(torch.relu(self.norm(self.stem(x)))).mean((2, 3)))


class Sure(Net):
    def forward(self, x):
        return super().forward(x).softmax(1)


def make():
    return Net()


def answer(x):
    return torch.cat([x.mean((2, 3)), x.amax((2, 3))[:, :2]], 1)


def noisy(images):
    return answer(images + 0.1 * torch.randn_like(images))


def broken():
    raise ZeroDivisionError("of the user")


number = 3
'''


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ``net.py``, in which the test runs."""
    (tmp_path / "net.py").write_text(CODE)
    (tmp_path / "beside.py").write_text("WIDTH = 8\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def exported(place: Path) -> Callable[[Path, int | None], Path]:
    """``exported(path, batch)``: write a program for 16 x 16 pixels and this number of images, for
    any where it is None."""

    def write(path: Path, batch: int | None) -> Path:
        module = alp.load("net.py:make").module
        x = torch.rand(batch or 2, 3, 16, 16)
        shapes = None if batch else ({0: torch.export.Dim("b")},)
        torch.export.save(torch.export.export(module, (x,), dynamic_shapes=shapes), path)
        return path

    return write


@pytest.fixture
def program(place: Path, exported) -> Path:
    """``net.pt2``, for batches of any size."""
    return exported(place / "net.pt2", None)

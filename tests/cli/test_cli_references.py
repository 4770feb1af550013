"""Commands before a user's own network and pictures, and what wrong ones are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

pytestmark = pytest.mark.slow

CODE = """
from torch import nn


def make():
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))
"""


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(CODE)
    return "net.py:make"


def test_a_network_of_ones_own_is_attacked_at_a_size(alp, net, pictures) -> None:
    few = ("--data", pictures, "--images", 3, "--attack.steps", 1, "--pictures", 0)
    done = alp("attack", net, *few, "--size", 12, "--out", "runs")
    assert done.status == 0, done.err
    assert "3 images are few" in done.out


def test_it_stands_behind_a_purifier(alp, net, weights) -> None:
    put = ("defend", "defended", "--classifier", net, "--purifier", weights.purifier)
    assert alp(*put, "--out", "front").status == 0
    alone = alp("export", "front/weights.safetensors", "--out", "exported")
    assert alone.status == 1
    assert "which is code, and no file makes code run" in alone.err
    named = alp("export", f"front/weights.safetensors,classifier={net}", "--out", "exported")
    assert named.status == 0, named.err
    lacking = alp("defend", "defended", "--classifier", net, "--out", "other")
    assert "needs a purifier; train one with 'alp train purifier'" in lacking.err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("attack {net} --data {data} --images 9999", "cannot take 9999 images of the test split"),
        ("attack {net} --data {data} --images 0", "images is 0; give a whole number above zero"),
        ("attack {net} --data {data} --size 0", "size is 0; give a whole number"),
        ("attack {net} --data {mixed} --images 2", "resize all to one: --size N"),
        ("attack none.py:make --data {data}", "there is no file none.py"),
        ("attack {net},sise=3 --data {data}", "there is no setting 'sise=3'"),
        ("attack nothing --data {data}", "or a reference to a classifier: timm:NAME"),
        ("attack none.pt2 --data {data}", "there is no file none.pt2"),
        ("train standard --classifier none.onnx --data {data}", "none.onnx"),
    ],
)
def test_wrong_inputs_are_told_the_repair(alp, net, pictures, command, message) -> None:
    mixed = Path("mixed")
    for name in "ab":
        (mixed / name).mkdir(parents=True)
        for side in range(10, 20):
            Image.new("RGB", (side, 12)).save(mixed / name / f"{side}.png")
    line = command.format(net=net, data=pictures, mixed=mixed)
    done = alp(*line.split(), "--out", "wrong")
    assert done.status == 1
    assert message in done.err

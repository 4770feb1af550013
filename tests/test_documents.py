"""The code of README and docs runs as it stands there, on less data."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import alp
from alp import seeding
from alp.cli import main
from alp.data.cifar10 import CLASSES

ROOT = Path(__file__).parents[1]

SMALLER = {"take(256)": "take(2)", "take(500)": "take(1)"}
"""What is made smaller in Python, so that minutes become seconds; all else is run letter by
letter."""

SMOKE = {
    "train": "--scale smoke --data tiny --stage.optim.epochs 1",
    "data": "",
    "evaluate": "--data tiny --images 4",
    "protocol": "--data tiny --images 4",
    "certify": "--data tiny --images 2 --budget 400 --attack 1",
    "attack": "--data tiny --images 4",
    "bench": "--data tiny --backends eager --batches 1 --threads 1 --rounds 5 --seconds 0.1 "
    "--baselines none --precisions float32",
    "package": "--data tiny --images 4",
    "reproduce": "--scale smoke --data tiny --trials 1 --images 4 --draws 2",
    "export": "",
    "report": "",
    "purify": "",
    "gather": "",
    "protect": "--budget 1s --draws 1",
    "defend": "",
    "defend diffpure": "--set steps=5",
    "quantise": "--data tiny --steps 2",
}
"""Options that are added to a command, or to a command of one thing. What is said last counts."""

ELSEWHERE = ("--watch", "--executor", "--device cuda")
"""Lines that never end, or need another machine: only their options are read."""


def blocks(document: str, language: str) -> list[str]:
    """The blocks of a document in a language."""
    text = (ROOT / document).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def commands(document: str) -> list[str]:
    """The ``alp`` commands of a document, a line each."""
    text = "\n".join(blocks(document, "sh")).replace("\\\n", " ")
    lines = [re.sub(r"\s+#.*", "", line).strip() for line in text.splitlines()]
    return [line for line in lines if line.startswith("alp ")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the pictures that the documents speak of, and a tiny data set with
    the classes of CIFAR-10."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALP_CACHE", str(tmp_path / "cache"))
    source = np.random.default_rng(0)
    for name in ("holiday.jpg", "photos/a.png", "inbox/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(source.integers(0, 256, (40, 30, 3), np.uint8)).save(tmp_path / name)
    for name in CLASSES:
        (tmp_path / "tiny" / name).mkdir(parents=True)
        for number in range(16):
            pixels = source.integers(0, 256, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "tiny" / name / f"{number}.png")
    return tmp_path


@pytest.fixture
def net(folder: Path) -> Path:
    """The folder with the reader's own network, and pictures of several sizes."""
    (folder / "my_net.py").write_text(blocks("docs/classifiers.md", "python")[0])
    (folder / "tiny").rename(folder / "pictures")
    (folder / "tiny").symlink_to(folder / "pictures")
    for name in CLASSES:
        Image.new("RGB", (50, 41)).save(folder / "pictures" / name / "large.png")
    return folder


def run(line: str) -> None:
    """Run a command of a document on less data."""
    arguments = shlex.split(line)[1:]
    if any(words in line for words in ELSEWHERE):
        assert main([*arguments, "--help"]) == 0, line
        return
    if (
        arguments[0] == "reproduce"
    ):  # tests/experiments runs them all; here Table II stands for them
        assert main([*arguments, "--help"]) == 0, line
        first = next(at for at, each in enumerate(arguments) if each.startswith("--"))
        arguments = ["reproduce", "hierarchy", *arguments[first:]]
    options = SMOKE.get(" ".join(arguments[:2]), SMOKE[arguments[0]])
    assert main([*arguments, *shlex.split(options)]) == 0, line


@pytest.mark.cifar10
@pytest.mark.slow
def test_the_python_of_the_readme(folder: Path) -> None:
    """In order, with a classifier and images of the reader's: one that looks at mean colours, so
    that noise changes little and its votes are soon counted."""
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with seeding.lent(0, images.device):
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10)).eval()
    names: dict[str, Any] = {"my_classifier": head, "images": images}
    found = blocks("README.md", "python")
    assert len(found) == 3
    for code in found:
        for large, small in SMALLER.items():
            code = code.replace(large, small)
        exec(compile(code, "README.md", "exec"), names)
    assert names["logits"].shape == (2, 10)
    assert names["record"].kind == "certificate"
    assert (folder / "folder").is_dir()


@pytest.mark.cifar10
@pytest.mark.slow
@pytest.mark.parametrize(
    ("document", "count"),
    [("README.md", 15), ("docs/purify.md", 2), ("docs/bench.md", 3), ("docs/weights.md", 20),
     ("docs/report.md", 4), ("docs/cluster.md", 8), ("docs/protect.md", 4),
     ("docs/leaderboard.md", 15), ("docs/interop.md", 2), ("docs/certificates.md", 16),
     ("docs/field.md", 6)],
)  # fmt: skip
def test_the_commands_of_a_document(
    document: str, count: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = commands(document)
    assert len(found) >= count
    if document == "docs/bench.md":  # the weights that it times are README's
        alp.load("cifar10-lite").save_pretrained("runs/both")
        Path("runs/both/model.safetensors").rename("runs/both/weights.safetensors")
    if document == "docs/protect.md":
        monkeypatch.setattr("alp.protection.plan.LEAST", 1)
        monkeypatch.setattr("alp.protection.plan.LEAST_CERTIFIED", 1)
        Path("tiny").rename("pictures")
        Path("tiny").symlink_to("pictures")
    for line in found:
        run(line)


@pytest.mark.slow
def test_the_python_of_the_docs(folder: Path) -> None:
    images = np.full((2, 3, 32, 32), 0.5, np.float32)
    names: dict[str, Any] = {"alp": alp, "model": alp.load("cifar10-lite"), "images": images}
    (code,) = blocks("docs/deploy.md", "python")
    exec(compile(code, "docs/deploy.md", "exec"), names)
    assert names["logits"].shape == (2, 10)
    alp.save(alp.load("cifar10-lite/purifier"), folder / "runs/purifier-joint/weights.safetensors")
    (code,) = blocks("docs/weights.md", "python")
    exec(compile(code, "docs/weights.md", "exec"), names)
    assert (folder / "runs/purifier-frozen/weights.safetensors").exists()


@pytest.mark.slow
def test_your_classifier_your_pictures(net: Path) -> None:
    """The page's commands, its Python, and that of the page on judging, in one folder."""
    found = commands("docs/classifiers.md")
    assert len(found) == 6
    for line in found:
        run(line)
    names: dict[str, Any] = {}
    for code in blocks("docs/classifiers.md", "python")[1:]:
        code = code.replace("epochs=20", "epochs=1")
        exec(compile(code, "docs/classifiers.md", "exec"), names)
    assert names["record"].kind == "verdict"
    names |= {"classifier": names["robust"], "images": names["test"].take(4)}
    code, asking = blocks("docs/judging.md", "python")
    exec(compile(code, "docs/judging.md", "exec"), names)
    assert names["record"].header["surrogate"] == "the identity in place of rounding"
    asking = asking.replace("queries=100", "queries=10")
    exec(compile(asking, "docs/judging.md", "exec"), names)
    assert names["record"].kind == "queries"


@pytest.mark.slow
def test_attackers_who_only_ask(folder: Path) -> None:
    found = commands("docs/judging.md")
    assert len(found) == 4
    for line in found:
        run(line.replace("1000", "20"))
    assert (folder / "queries" / "figures" / "queries.svg").exists()


@pytest.mark.slow
def test_the_python_of_executors() -> None:
    images = alp.load_data("shapes", "test").take(2)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10)).eval()
    names: dict[str, Any] = {"alp": alp, "model": head, "images": images}
    (code,) = blocks("docs/cluster.md", "python")
    exec(compile(code, "docs/cluster.md", "exec"), names)
    assert names["record"].kind == "verdict"


@pytest.mark.cifar10
@pytest.mark.slow
def test_the_python_of_the_interop_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, with what the blocks before have made; the one of transformers only where that is
    installed."""
    for module in ("maite", "art", "pandas"):
        pytest.importorskip(module)
    found = blocks("docs/interop.md", "python")
    if find_spec("transformers"):
        place = "transformers.dynamic_module_utils.HF_MODULES_CACHE"
        monkeypatch.setattr(place, str(folder / "modules"))
    else:
        found = [code for code in found if "import AutoModel" not in code]
    names: dict[str, Any] = {}
    for code in found:
        for large, small in SMALLER.items():
            code = code.replace(large, small)
        exec(compile(code, "docs/interop.md", "exec"), names)
    assert names["logits"].shape == (4, 10)
    assert len(names["predictions"]) == 2
    assert Path(names["path"]).exists()
    assert len(names["table"]) == 2
    assert (folder / "folder" / ".eval_results" / "alp.yaml").exists()


CONTRIBUTED = """
import torch
from pathlib import Path
from torch import nn
from alp import as_defence, seeding
from alp.attacks import PGD, Linf
from alp.data import DATASETS
from alp.data.images import Images
from alp.deploy.backends import BACKENDS, Backend

NAMES = dict(globals())
for block in {blocks!r}:
    exec(compile(block, "CONTRIBUTING.md", "exec"), NAMES)

classifier = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)).eval()
defence = NAMES["MeanFilter"](classifier)
images = NAMES["load_noise"]("test", 0, None)
x, y = images.batch(torch.arange(8))
centre = defence.purify(x, None)[:, :, 5, 7]
assert torch.allclose(centre, x[:, :, 4:7, 6:9].mean((2, 3)))
threat = Linf(8 / 255)
x_adv = NAMES["Noise"]()(defence, x, y, threat, seeding.generator(0, "noise"))
assert 0 < float(threat.distance(x_adv, x).max()) <= 8 / 255 * 1.001
assert len(BACKENDS["mine"]().precisions) == 2
assert "baseline" in NAMES["EXPERIMENTS"]
"""


@pytest.mark.slow
def test_the_python_of_the_contributing_page() -> None:
    """In a process of its own, whose registries forget the examples."""
    script = CONTRIBUTED.format(blocks=blocks("CONTRIBUTING.md", "python"))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

"""A package outside the tree adds one member to each registry, and names the rest as before."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import alp
from alp.attacks import ATTACKS, Linf
from alp.attacks.library import LIBRARY_ATTACKS
from alp.cli import main
from alp.cli.settings import parse
from alp.data import DATASETS, load_data
from alp.defences import Defended
from alp.deploy.backends import BACKENDS, build
from alp.errors import AlpError, ConfigError
from alp.evaluation.checks import CHECKS
from alp.experiments import EXPERIMENTS
from alp.records import Kept, Record
from alp.report.drawing import drawn
from alp.report.figures import FIGURES
from alp.seeding import generator

NAMES = {
    "alp.attacks:ATTACKS": ["fgsm", "bim", "pgd", "apgd", "square", "lbfgs", "nfgsm"],
    "alp.attacks.library:LIBRARY_ATTACKS": [
        *("apgd-t", "fab-t", "square-reference", "autoattack", "boundary", "hopskipjump", "cw"),
        *("deepfool", "fmn"),
    ],
    "alp.data:DATASETS": ["cifar10", "shapes"],
    "alp.report.figures:FIGURES": [
        *("hierarchy", "sigma", "sigma-starts", "sweep", "zero-shot-sweep", "tradeoff"),
        *("zero-shot-tradeoff", "tsne", "zero-shot-tsne", "reliability", "grids"),
        *("robustness-curve", "bottleneck", "certificates", "rate-distortion", "honest"),
        *("calibration", "speed"),
    ],
    "alp.deploy.backends:BACKENDS": ["eager", "compile", "onnxruntime", "openvino"],
}


@pytest.mark.parametrize("place", NAMES)
def test_names_are_listed_in_order_without_torch(place: str) -> None:
    module, name = place.split(":")
    code = (
        f"import json, sys, {module} as module; print(json.dumps(list(module.{name})));"
        "sys.exit('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert json.loads(told.stdout)[: len(NAMES[place])] == NAMES[place]


ATTACK = """
from dataclasses import dataclass
from alp.attacks.base import checked

@dataclass(frozen=True)
class Noise:
    scale: float = 1.0
    '''Share of the radius.'''
    calls = (0, 0)

    def __call__(self, target, x, y, threat, source):
        return threat.random_start(checked(x, y), source, self.scale)
"""


def test_an_attack(outside) -> None:
    outside(ATTACKS, "noise", "other_attacks:Noise", ATTACK)
    assert list(ATTACKS)[-1] == "noise"
    assert "other_attacks" not in sys.modules
    attack, x, y = ATTACKS["noise"](), torch.full((2, 3, 4, 4), 0.5), torch.tensor([0, 1])
    adversarial = attack(lambda x: x, x, y, Linf(0.1), generator(0, "attack"))
    assert 0.05 < Linf(0.1).distance(adversarial, x).min() <= 0.1

    from alp.evaluation.header import attack_settings

    assert attack_settings(attack, Linf(0.1)) == {"name": "noise", "scale": 1.0}


def test_an_attack_is_offered_unless_it_is_for_training(outside) -> None:
    from alp.cli.common import methods

    own = set(methods())
    assert own == {*ATTACKS, *LIBRARY_ATTACKS} - {"nfgsm"}
    outside(ATTACKS, "noise", "other_attacks:Noise", ATTACK)
    assert set(methods()) == own | {"noise"}
    leaving = ATTACK.replace("calls =", "training = True; calls =")
    outside(ATTACKS, "far", "far_attacks:Noise", leaving)
    assert set(methods()) == own | {"noise"}


CHECK = """
from alp.evaluation.checks import Finding

class Shapes:
    name = "shapes"

    def applies(self, suite, defence):
        return True

    def cost(self, suite):
        return 0, 0

    def measure(self, scene, x, y):
        return {"height": x.new_full((len(x),), x.shape[2])}

    def conclude(self, own, record, suite):
        height = float(own["height"].mean())
        return Finding(self.name, height > 0, height, 0, "height > 0", f"{height:g} pixels high")
"""


def test_a_check(outside) -> None:
    outside(CHECKS, "shapes", "other_checks:Shapes", CHECK)
    assert list(CHECKS)[-2:] == ["planted", "shapes"]
    assert all(CHECKS[name]().name == name for name in CHECKS)
    images = load_data("shapes", "test").take(2)
    sure = 10 * torch.eye(10)[images.labels[0]]
    found = alp.evaluate(lambda x: x.flatten(1)[:, :10] + sure, images, Linf(0.01))
    assert [check["check"] for check in found.header["checks"]][-1] == "shapes"
    assert found.header["checks"][-1]["words"] == "32 pixels high"


DATA = """
import torch
from alp.data import Images

def load(split, seed, root):
    images = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
    return Images.of(images, torch.arange(4) % 2, ["a", "b"], "zeros", split)
"""


def test_a_data_set(outside, capsys, monkeypatch) -> None:
    """One that is not CIFAR-10 is not asked for CIFAR-10's files."""
    monkeypatch.setenv("ALP_DATA", "/nowhere")
    outside(DATASETS, "zeros", "other_data:load", DATA)
    assert list(DATASETS) == ["cifar10", "shapes", "zeros"]
    assert len(load_data("zeros", "train")) == 4
    assert main(["data", "zeros", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["splits"]["test"]["classes"] == {"a": 2, "b": 2}
    assert told["splits"]["test"]["source"] == "from other_data:load"


@pytest.fixture
def defended(new_classifier, new_purifier) -> Defended:
    return Defended(new_classifier(), new_purifier(), draws=3)


BACKEND = """
from alp.deploy import Backend
from alp.deploy.graphs import build_graphs
from alp.deploy.torch_engine import TorchEngine

class Doubled(Backend):
    precisions = ("bfloat16", "int8")
    needs = {needs}
    repair = "pip install doubled"

    def engine(self, defended, options):
        graphs = build_graphs(defended, options.size)
        draw = lambda mu, noise: 2 * graphs.draw(mu, noise)
        return TorchEngine(graphs, (graphs.encode, draw, graphs.decode), options.threads, "float32")
"""


def test_a_backend(outside, defended) -> None:
    outside(BACKENDS, "doubled", "other_backends:Doubled", BACKEND.format(needs="()"))
    model, images = defended, np.full((2, 3, 8, 8), 0.5, np.float32)
    engine = build("doubled", model, 1, "bfloat16", size=(8, 8))
    eager = build("eager", model, 1, size=(8, 8))
    assert np.allclose(engine.predict(images, 3, 0), 2 * eager.predict(images, 3, 0), atol=1e-5)
    with pytest.raises(ConfigError, match="take backend onnxruntime or openvino or doubled"):
        build("eager", model, precision="int8")
    with pytest.raises(ConfigError, match="int8 needs some clean training images"):
        build("doubled", model, precision="int8")


def test_a_backend_that_needs_what_is_not_installed(outside, defended) -> None:
    text = BACKEND.format(needs='("doubling",)')
    outside(BACKENDS, "doubled", "other_backends:Doubled", text)
    with pytest.raises(AlpError, match="'doubled' needs doubling: pip install doubled"):
        build("doubled", defended, precision="bfloat16")


EXPERIMENT = """
from alp.records import KIND_POINTS
from alp.report.figures import drawing
from alp.report.figures.style import canvas, styled

def run(workspace):
    return [f"a record of {workspace}"]

def caption(records):
    return f"{len(records)} records"

@drawing("Nothing", KIND_POINTS, caption=caption)
@styled
def draw(records):
    return canvas(1.0)[0]
"""


def test_an_experiment_and_its_figure(outside) -> None:
    from alp.cli.reproduce import Settings

    outside(EXPERIMENTS, "nothing", "other_experiments:run", EXPERIMENT)
    assert list(EXPERIMENTS)[-1] == "nothing"
    assert parse("reproduce", Settings, ["nothing", "--out", "runs"]).item == ("nothing",)
    assert EXPERIMENTS["nothing"]("a workspace") == ["a record of a workspace"]
    outside(FIGURES, "nothing", "other_figures:draw", EXPERIMENT)
    assert list(FIGURES)[-1] == "nothing"
    record = Record({"kind": "points", "name": "x", "item": "nothing"}, {"y": np.zeros(1)})
    figures, refused = drawn([Kept("records/0.json", record)], FIGURES)
    assert refused == {}
    assert [(each.title, each.caption) for each in figures] == [("Nothing", "1 records")]

"""Apple's MPS, the device of the paper: trained, attacked, checked and judged there as on the CPU.

The same chain runs on the CPU, so that it is known to be right where there is no such device.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import alp
from alp.config import EngineConfig, PurifierConfig
from alp.data import Images, load_data
from alp.defences import Defended
from alp.evaluation import evaluate
from alp.records import conclude
from alp.seeding import generator
from alp.training.recipes import stage_of
from alp.training.stages import PurifierStage
from alp.training.train import train

pytestmark = pytest.mark.slow

MPS = pytest.param(
    "mps",
    marks=pytest.mark.skipif(not torch.backends.mps.is_available(), reason="needs Apple's MPS"),
)
DEVICES = pytest.mark.parametrize("device", ["cpu", MPS])


@pytest.fixture
def images() -> Images:
    return load_data("shapes", "test").take(4)


@pytest.fixture
def model(new_purifier, new_classifier) -> Defended:
    return Defended(new_classifier(classes=10), new_purifier(), 2).eval()


@DEVICES
def test_it_predicts_and_has_the_gradient_of_the_cpu(device: str, model, images) -> None:
    """Without noise, whose draws are those of the device."""
    x, y = images.batch(torch.arange(4))
    still = model.at_sigma(0.0)
    found = []
    for where in ("cpu", device):
        moved = still.to(where)
        given = x.to(where).requires_grad_()
        logits = moved.logits(given, generator(0, "mps", device=where), 1)[0]
        (gradient,) = torch.autograd.grad(logits.gather(1, y.to(where)[:, None]).sum(), given)
        found.append((logits.detach().cpu(), gradient.cpu()))
    for here, there in zip(*found, strict=True):
        assert torch.allclose(here, there, rtol=1e-3, atol=1e-3 * float(here.abs().max()))


@DEVICES
def test_it_attacks_checks_and_judges(device: str, model, images) -> None:
    record = evaluate(model.to(device), images, alp.Linf(8 / 255), "quick", device=device)
    found = conclude(record)
    assert record.header["device"] == device
    assert {"single", "eot", "bpda", "masked"} <= set(found["levels"])
    assert found["worst"]["value"] <= found["clean"]["value"]
    assert {"finite-difference", "planted"} <= {each["check"] for each in found["checks"]}


@DEVICES
def test_it_trains(device: str, tmp_path: Path) -> None:
    data = load_data("shapes", "train").take(64)
    usual = stage_of("purifier", "smoke", PurifierStage)
    stage = replace(usual, purifier=PurifierConfig(latent_channels=8, width=8, blocks=1))
    engine = EngineConfig(accelerator=device, precision="32-true", threads=1)
    made = train(stage, tmp_path / "out", data, seed=0, engine=engine)
    assert np.isfinite(made.record["curve"]["sigma"]).all()
    assert made.path.exists()

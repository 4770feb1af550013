"""What holds for a classifier of every size."""

from __future__ import annotations

import pytest
import torch

from alp.defences import ResNetLite
from alp.defences.classifier import SIZES

every_size = pytest.mark.parametrize("size", SIZES)


@every_size
@pytest.mark.parametrize("images", [(2, 32, 32), (1, 32, 32), (2, 30, 37), (1, 8, 8)], ids=str)
def test_logits_and_features(new_classifier, new_images, size: str, images) -> None:
    model, x = new_classifier(size, classes=7), new_images(*images)
    before = x.clone()
    logits, features = model(x), model.features(x)
    assert logits.shape == (images[0], 7)
    assert features.ndim == 2
    assert torch.equal(model.head(features), logits)
    assert torch.equal(x, before)
    assert logits.isfinite().all()


@every_size
def test_evaluation_is_deterministic_and_image_by_image(new_classifier, new_images, size) -> None:
    model, x, state = new_classifier(size), new_images(3, 16, 16), torch.get_rng_state()
    logits = model(x)
    assert torch.equal(model(x), logits)
    assert torch.equal(torch.get_rng_state(), state)
    model, x = model.double(), x.double()  # float32 rounds differently in a batch of one
    assert torch.allclose(model(x[1:2]), model(x)[1:2], rtol=1e-9)


@every_size
def test_every_pixel_and_every_parameter_counts(new_classifier, new_images, size) -> None:
    model, x = new_classifier(size).train(), new_images(4, 32, 32).requires_grad_()
    model(x).square().sum().backward()
    assert (x.grad != 0).any((0, 1)).all()
    unused = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert unused == []


@every_size
def test_memory_layout_changes_no_result(new_classifier, new_images, size) -> None:
    model, x = new_classifier(size), new_images(2, 16, 16)
    assert torch.equal(model(x), model(x.contiguous(memory_format=torch.channels_last)))


def test_sizes_are_what_their_descriptions_say(new_classifier) -> None:
    millions = {
        size: sum(p.numel() for p in new_classifier(size, 10).parameters()) / 1e6 for size in SIZES
    }
    assert millions["tiny"] < 0.2
    assert millions["lite"] == pytest.approx(1.6, abs=0.1)
    assert millions["base"] == pytest.approx(11.2, abs=0.1)


def test_the_default_is_the_cpu_one() -> None:
    assert ResNetLite().config.size == "lite"

"""Models in float16, bfloat16 and float64 answer images in float32, wherever they stand."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from alp.defences import InputNoise, Purifier, ResNetLite, defend
from alp.defences.adapters import as_defence
from alp.seeding import generator

KINDS = {torch.float16: 0.05, torch.bfloat16: 0.3, torch.float64: 1e-5}
"""Precision to the largest difference of a logit, relative to the largest logit."""

precisions = pytest.mark.parametrize("kind", KINDS, ids=str)


@pytest.fixture
def places(
    new_classifier: Callable[..., ResNetLite], new_purifier: Callable[..., Purifier]
) -> dict[str, Callable[[Callable[[nn.Module], nn.Module]], Callable[[Tensor], Tensor]]]:
    """Where a model of another precision may stand: what is made of it there."""
    head, front = new_classifier(), new_purifier()
    foreign = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 4)).eval()

    def drawn(model: nn.Module) -> Callable[[Tensor], Tensor]:
        return lambda x: model(x, generator(0, "draws"))

    return {
        "classifier": lambda to: to(head),
        "purifier": lambda to: drawn(to(front)),
        "defended": lambda to: drawn(to(defend(head, front, 3))),
        "a part": lambda to: drawn(defend(to(head), front, 3)),
        "foreign": lambda to: drawn(defend(to(foreign), front, 3)),
        "noise": lambda to: drawn(InputNoise(to(foreign), 0.1, 3).eval()),
        "adapter": lambda to: as_defence(to(foreign)),
    }


@precisions
@pytest.mark.parametrize(
    "place", ["classifier", "purifier", "defended", "a part", "foreign", "noise", "adapter"]
)
def test_the_answer_is_that_of_single_precision_rounded(
    kind: torch.dtype, place: str, places, new_images: Callable[..., Tensor]
) -> None:
    x = new_images(4, 8, 8)
    single = places[place](lambda m: m)(x)
    other = places[place](lambda m: deepcopy(m).to(kind))(x)
    assert other.dtype == torch.float32
    allowed = KINDS[kind] * float(single.detach().abs().max())
    assert torch.allclose(other, single, rtol=0, atol=allowed)


@precisions
def test_the_gradient_flows_to_the_images(
    kind: torch.dtype, places, new_images: Callable[..., Tensor]
) -> None:
    x = new_images(2, 8, 8).requires_grad_(True)
    places["a part"](lambda m: deepcopy(m).to(kind))(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == torch.float32
    assert x.grad.abs().max() > 0


@precisions
def test_images_of_the_models_precision_are_answered_in_it(
    kind: torch.dtype, new_classifier: Callable[..., ResNetLite], new_images
) -> None:
    assert new_classifier().to(kind)(new_images(2, 8, 8).to(kind)).dtype == kind

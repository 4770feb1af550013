"""The error of a quantised chain, step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from alp.defences.checkpoint import save
from alp.defences.quantise import quantise
from alp.errors import CheckpointError, ConfigError
from alp.experiments.quantisation import growth
from alp.experiments.reproduce import reproduce


def test_an_error_is_followed_step_by_step(new_chain, new_images) -> None:
    chain, x = new_chain(), new_images(3, 8, 8)
    other = quantise(chain, new_images(32, 8, 8), 4, 4, "minmax").inner
    difference, fresh = growth(chain, other, x, 1)
    assert difference.shape == (1, 3)
    assert torch.equal(difference, fresh)
    difference, fresh = growth(chain, other, x, 4)
    assert torch.equal(difference[0], fresh[0])
    assert not torch.equal(difference[1], fresh[1])
    assert float(fresh.min()) > 0
    for each in growth(chain, chain, x, 4):
        assert torch.equal(each, torch.zeros(4, 3))
    with pytest.raises(ConfigError, match="not followed over 101 steps"):
        growth(chain, other, x, 101)


def test_weights_of_another_kind_are_refused(protocol, new_classifier, tmp_path) -> None:
    save(new_classifier(), tmp_path / "given" / "diffusion.safetensors")
    given = replace(protocol, weights=str(tmp_path / "given"))
    with pytest.raises(CheckpointError, match=r"diffusion\.safetensors holds a ResNetLite; give"):
        reproduce(("quantisation",), given, tmp_path / "out")

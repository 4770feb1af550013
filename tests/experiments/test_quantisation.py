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
from alp.records import KIND_CHAINS, KIND_POINTS, read_tree
from alp.records.chains import amplification, scheme


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


def test_a_record_tells_the_amplification_of_each_image(whole) -> None:
    kept, _ = read_tree(whole / "quantisation")
    found = [each.record for each in kept if each.record.kind == KIND_CHAINS]
    assert {scheme(each) for each in found} == {
        "W8A8, minmax",
        "W4A8, minmax",
        "W4A8, reconstructed",
    }
    for record in found:
        times = amplification(record, 10)
        assert times is not None
        assert (times > 0).all()
        assert len(times) == record.header["images"]
        assert amplification(record, 25) is None
    points = [each.record for each in kept if each.record.kind == KIND_POINTS]
    assert len(points) == 1 + len(found)


def test_weights_of_another_kind_are_refused(protocol, new_classifier, tmp_path) -> None:
    save(new_classifier(), tmp_path / "given" / "diffusion.safetensors")
    given = replace(protocol, weights=str(tmp_path / "given"))
    with pytest.raises(CheckpointError, match=r"diffusion\.safetensors holds a ResNetLite; give"):
        reproduce(("quantisation",), given, tmp_path / "out")

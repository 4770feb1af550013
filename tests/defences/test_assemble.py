"""A defence that is assembled around a model which is one already."""

from __future__ import annotations

import pytest

from alp.config import DiffusionConfig
from alp.defences.assemble import assemble
from alp.defences.diffpure import DiffPure
from alp.defences.diffusion import Diffusion
from alp.defences.purified import Defended
from alp.defences.transforms import JPEG
from alp.errors import ConfigError


@pytest.fixture
def diffusion() -> Diffusion:
    return Diffusion(DiffusionConfig(width=4)).eval()


def test_a_random_model_of_the_same_defence_gives_its_classifier(
    new_classifier, new_purifier, diffusion
) -> None:
    head, front = new_classifier(), new_purifier()
    chain = assemble("diffpure", DiffPure(head, diffusion, steps=10), diffusion, {"steps": 20})
    assert chain.classifier is head
    assert chain.settings["steps"] == 20
    mean = assemble("defended", Defended(head, front, 20), settings={"draws": 1}, purifier=front)
    assert mean.classifier is head
    assert mean.draws == 1


def test_a_model_of_another_random_defence_is_refused(new_classifier, diffusion) -> None:
    with pytest.raises(ConfigError, match="the classifier of 'gdmp' is a defence already"):
        assemble("gdmp", DiffPure(new_classifier(), diffusion), diffusion)


def test_what_draws_no_noise_stands_in_front_of_itself(new_classifier) -> None:
    inner = JPEG(new_classifier())
    assert assemble("jpeg", inner).classifier is inner

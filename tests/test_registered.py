"""A package outside the tree adds one member to each registry, and names the rest as before."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from alp.attacks import ATTACKS, Linf
from alp.attacks.library import LIBRARY_ATTACKS
from alp.seeding import generator

NAMES = {
    "alp.attacks:ATTACKS": ["fgsm", "bim", "pgd", "apgd", "square", "lbfgs", "nfgsm"],
    "alp.attacks.library:LIBRARY_ATTACKS": [
        *("apgd-t", "fab-t", "square-reference", "autoattack", "boundary", "hopskipjump", "cw"),
        *("deepfool", "fmn"),
    ],
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

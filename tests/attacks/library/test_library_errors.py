"""What the attacks from libraries refuse, and what they say."""

from __future__ import annotations

import dataclasses
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from alp.attacks import L2, Linf
from alp.attacks.base import require
from alp.attacks.library import (
    LIBRARY_ATTACKS,
    AutoAttackStandard,
    Boundary,
    CarliniWagner,
    DeepFool,
    TargetedAPGD,
)
from alp.errors import AlpError, ConfigError
from alp.seeding import generator, normal

COUNTS = [
    (kind, field.name)
    for kind in LIBRARY_ATTACKS.values()
    for field in dataclasses.fields(kind)  # type: ignore[arg-type]
    if field.type == "int"
]
SOURCE = generator(0, "attack")
X = torch.full((4, 3, 8, 8), 0.5)
Y = torch.zeros(4).long()


def constant(x: Tensor) -> Tensor:
    return torch.tensor([1.0, 0, 0, 0]).expand(len(x), 4) + 0 * x.flatten(1)[:, :1]


@given(
    setting=st.sampled_from(COUNTS),
    value=st.integers(max_value=0) | st.floats() | st.text() | st.booleans() | st.none(),
)
def test_counts_are_checked(setting: tuple[type, str], value: object) -> None:
    kind, name = setting
    with pytest.raises(ConfigError, match=f"{name} is "):
        kind(**{name: value})


def test_the_other_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="candidates is 1; give at least 2"):
        DeepFool(candidates=1)
    with pytest.raises(ConfigError, match="step_size is 0"):
        CarliniWagner(step_size=0)


@pytest.mark.parametrize("kind", LIBRARY_ATTACKS.values(), ids=LIBRARY_ATTACKS)
def test_soft_labels_are_refused(kind: type) -> None:
    with pytest.raises(ConfigError, match=r"soft labels of shape \(4, 4\).*class indices"):
        kind()(constant, X, torch.full((4, 4), 0.25), L2(1.0), SOURCE)


@pytest.mark.parametrize("kind", [Boundary, CarliniWagner])
def test_a_norm_that_the_attack_lacks_is_refused(kind: type) -> None:
    with pytest.raises(ConfigError, match=r"knows the threat L2, not Linf\(eps=0.1\)"):
        kind()(constant, X, Y, Linf(0.1), SOURCE)


@pytest.mark.parametrize("kind", [TargetedAPGD, AutoAttackStandard])
def test_the_targeted_dlr_loss_needs_four_classes(kind: type) -> None:
    pytest.importorskip("pyautoattack")
    with pytest.raises(ConfigError, match=r"the target has 3 classes.*needs at least 4"):
        kind()(lambda x: constant(x)[:, :3], X, Y, Linf(0.1), SOURCE)


def test_a_random_target_is_refused() -> None:
    noise = generator(1, "draw")
    with pytest.raises(ConfigError, match=r"differently each time.*bind a fixed bank of draws"):
        DeepFool()(
            lambda x: constant(x) + 0.1 * normal((len(x), 4), noise), X, Y, Linf(0.1), SOURCE
        )


def test_logits_and_labels_have_to_fit() -> None:
    with pytest.raises(ConfigError, match="the class 7, the target has 4"):
        DeepFool()(constant, X, Y + 7, Linf(0.1), SOURCE)
    with pytest.raises(ConfigError, match="not finite"):
        DeepFool()(lambda x: constant(x) / 0, X, Y, Linf(0.1), SOURCE)
    with pytest.raises(ConfigError, match=r"give images in \[0,1\]"):
        DeepFool()(constant, 2 * X + 1, Y, Linf(0.1), SOURCE)


@pytest.mark.parametrize(("name", "package"), [("deepfool", "foolbox"), ("fab-t", "pyautoattack")])
def test_a_missing_library_says_how_to_install_it(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [each for each in sys.modules if each.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    attack = LIBRARY_ATTACKS[name]()
    message = rf'{type(attack).__name__} needs {package}, .*: pip install -e "\.\[attacks\]"'
    with pytest.raises(AlpError, match=message):
        attack(constant, X, Y, Linf(0.1), SOURCE)


def test_a_library_that_is_broken_speaks_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyautoattack")
    monkeypatch.setitem(sys.modules, "pyautoattack.square", None)
    with pytest.raises(ModuleNotFoundError, match=r"pyautoattack\.square"):
        require("pyautoattack.square", "Square")


def test_images_that_no_noise_breaks_stay_as_they_are() -> None:
    pytest.importorskip("foolbox")
    assert torch.equal(Boundary(steps=3)(constant, X, Y, L2(1.0), SOURCE), X)

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alp.attacks import ATTACKS, BIM, LOSSES, NFGSM, PGD, THREATS, Linf
from alp.errors import ConfigError, UnknownNameError
from alp.seeding import generator

X = torch.full((4, 3, 4, 4), 0.5)
Y = torch.tensor([0, 1, 2, 0])

bad_number = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, None, "8/255", True, [0.1]]),
    st.floats(max_value=-1e-300, allow_nan=False),
)
bad_count = st.one_of(
    st.integers(max_value=0), st.floats(), st.sampled_from([None, "7", True, math.nan])
)


def target(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(1)[:, :3]


@pytest.mark.parametrize("name", THREATS)
@given(eps=bad_number)
def test_a_bad_radius_is_refused(name: str, eps: object) -> None:
    with pytest.raises(ConfigError, match=r"eps is .*; give a finite number"):
        THREATS[name](eps)  # type: ignore[arg-type]


@given(eps=st.floats(min_value=1, exclude_min=True, allow_infinity=False))
def test_grey_levels_are_not_taken_for_a_radius(eps: float) -> None:
    with pytest.raises(ConfigError, match="divide grey levels by 255"):
        Linf(eps)


@pytest.mark.parametrize("kind", [BIM, PGD])
@given(steps=bad_count)
def test_bad_steps_are_refused(kind: type[BIM] | type[PGD], steps: object) -> None:
    with pytest.raises(ConfigError, match=r"steps is .*; give a whole number"):
        kind(steps=steps)  # type: ignore[arg-type]


@given(restarts=bad_count)
def test_bad_restarts_are_refused(restarts: object) -> None:
    with pytest.raises(ConfigError, match="restarts is"):
        PGD(restarts=restarts)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [BIM, PGD])
@given(size=bad_number.filter(lambda value: value is not None) | st.just(0.0))
def test_a_bad_step_size_is_refused(kind: type[BIM] | type[PGD], size: object) -> None:
    with pytest.raises(ConfigError, match=r"step_size is .* above zero"):
        kind(step_size=size)  # type: ignore[arg-type]


@given(value=bad_number)
def test_bad_multiples_are_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="noise is"):
        NFGSM(noise=value)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="step is"):
        NFGSM(step=value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", [name for name, kind in ATTACKS.items() if hasattr(kind(), "loss")]
)
def test_an_unknown_loss_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UnknownNameError, match=f"choose one of: {', '.join(sorted(LOSSES))}"):
        ATTACKS[name](loss="mse")


@pytest.mark.parametrize("name", [*ATTACKS, *THREATS])
def test_settings_are_values(name: str) -> None:
    kind = {**ATTACKS, **THREATS}[name]
    assert kind() == kind(**dataclasses.asdict(kind()))
    assert hash(kind()) == hash(kind())
    field = dataclasses.fields(kind)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(kind(), field, 1)


def test_the_default_step_is_a_quarter_of_the_radius() -> None:
    """The protocol of the reference numbers: eps 8/255, step 2/255."""
    results = [
        PGD(steps=3, step_size=size)(target, X, Y, Linf(8 / 255), generator(0, "attack"))
        for size in (None, 2 / 255)
    ]
    assert torch.equal(*results)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X + 0.6, Y, "reaches from 1.1 to 1.1"),
        (X - 0.6, Y, r"images in \[0,1\]"),
        (X * math.nan, Y, "reaches from nan"),
        (X[0], Y, r"shape \(3, 4, 4\)"),
        (X[:0], Y[:0], "non-empty"),
        (X.byte(), Y, "divide bytes by 255"),
        (X, Y[:3], r"shape \(3,\) for 4 images"),
        (X, Y[0], r"shape \(\) for 4 images"),
        (X, Y.view(4, 1, 1), r"shape \(4, 1, 1\)"),
        (X, Y.float(), "class indices are int64"),
        (X, Y.int(), "class indices are int64"),
        (X, Y.view(4, 1), "soft labels are floats"),
        (X, -100 * Y, "reaches from -200"),
        (X, torch.full((4, 3), math.nan), "finite labels"),
        (X, torch.full((4, 3), math.inf), "finite labels"),
        (X, Y + 1, "class 3, the target has 3 classes"),
    ],
)
def test_data_that_cannot_be_attacked_is_named(
    name: str, x: torch.Tensor, y: torch.Tensor, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        ATTACKS[name]()(target, x, y, Linf(0.1), generator(0, "attack"))

"""The guard puts back what an ill-mannered library or target changes, and the runner believes a
library nothing."""

from __future__ import annotations

import logging
import random
import sys
import threading
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from alp.attacks import L2, Linf, Threat
from alp.attacks.library.base import Craft, LibraryAttack, guarded, sealed
from alp.errors import ConfigError
from alp.seeding import generator

CPU = torch.device("cpu")


def state() -> tuple[object, ...]:
    return (
        torch.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        random.getstate(),
        (sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile()),
        logging.root.handlers[:],
        warnings.filters[:],
        (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
    )


def misbehave() -> None:
    def trace(*_: object) -> None:
        return None

    sys.settrace(trace)
    sys.setprofile(trace)
    threading.settrace(trace)
    threading.setprofile(trace)
    torch.rand(3)
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    logging.root.addHandler(logging.NullHandler())
    warnings.simplefilter("error")
    torch.set_grad_enabled(False)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_everything_is_put_back(mode: Callable[[], torch.no_grad], fails: bool) -> None:
    old = sys.gettrace(), sys.getprofile()
    try:
        with mode():
            before = state()
            try:
                with guarded(generator(0, "guard"), CPU):
                    assert torch.is_grad_enabled()
                    assert not torch.is_inference_mode_enabled()
                    misbehave()
                    if fails:
                        raise KeyError
            except KeyError:
                assert fails
            assert state() == before
    finally:
        sys.settrace(old[0])
        sys.setprofile(old[1])


def test_a_trace_that_a_library_ends_goes_on() -> None:
    def trace(*_: object) -> None:
        return None

    old = sys.gettrace()
    sys.settrace(trace)
    try:
        with guarded(generator(0, "guard"), CPU):
            sys.settrace(None)
        held = sys.gettrace()
    finally:
        sys.settrace(old)
    assert held is trace


def test_the_source_sets_every_generator() -> None:
    def drawn(seed: int) -> tuple[object, ...]:
        with guarded(generator(seed, "guard"), CPU) as own:
            return own, torch.rand(4).tolist(), np.random.rand(4).tolist(), random.random()  # noqa: NPY002

    first, again, other = drawn(1), drawn(1), drawn(2)
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))


def test_only_the_libraries_warnings_are_silenced() -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with guarded(generator(0, "guard"), CPU):
            warnings.warn_explicit("a", UserWarning, "f", 1, module="foolbox.attacks.base")
            warnings.warn_explicit("b", UserWarning, "f", 2, module="pyautoattack.checks")
            warnings.warn("of the target", UserWarning, stacklevel=1)
    assert [str(each.message) for each in heard] == ["of the target"]


def bright(x: Tensor) -> Tensor:
    """Class 1 where the mean is above 1/2."""
    mean = x.flatten(1).mean(1) - 0.5
    return torch.stack([-mean, mean], 1)


class Staged(LibraryAttack):
    """Runs stages that a test brings."""

    calls = (0, 0)

    def __init__(self, *stages: Craft) -> None:
        self._stages = stages

    def stages(self, threat: Threat, classes: int, seed: int) -> Sequence[Craft]:
        return self._stages


def test_only_points_that_change_the_class_are_kept_and_projected() -> None:
    x = torch.tensor([0.45, 0.45, 0.45, 0.2, 0.9]).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
    y = torch.tensor([0, 0, 0, 0, 0])

    def craft(model: object, images: Tensor, labels: Tensor) -> Tensor:
        assert len(images) == len(labels) == 4  # the last is wrong already
        points = images.clone()
        points[0] = 1.0
        points[1] = float("nan")
        points[2] = 0.0
        points[3] = 1.0
        return points

    x_adv = Staged(craft)(bright, x, y, Linf(0.1), generator(0, "attack"))
    expected = torch.tensor([0.55, 0.45, 0.45, 0.3, 0.9]).view(-1, 1, 1, 1).expand_as(x)
    assert torch.allclose(x_adv, expected)


def test_a_stage_sees_what_those_before_it_left() -> None:
    x, y, seen = torch.full((3, 3, 2, 2), 0.45), torch.zeros(3).long(), []

    def first_row(model: object, images: Tensor, labels: Tensor) -> Tensor:
        seen.append(len(images))
        return torch.cat([torch.ones_like(images[:1]), images[1:]])

    x_adv = Staged(*[first_row] * 5)(bright, x, y, L2(9.0), generator(0, "attack"))
    assert seen == [3, 2, 1]
    assert torch.equal(x_adv, torch.ones_like(x))


@pytest.mark.parametrize(("share", "refused"), [(0.9e-3, False), (1.1e-3, True)])
def test_a_target_may_scatter_by_a_thousandth_of_its_logits(share: float, refused: bool) -> None:
    """Engines add in another order; what scatters more draws noise."""
    x, y, calls = torch.full((3, 3, 2, 2), 0.25), torch.zeros(3).long(), [0]

    def scattered(images: Tensor) -> Tensor:
        calls[0] += 1
        return bright(images) * (1 + share * (calls[0] == 2))

    def attack() -> Tensor:
        return Staged()(scattered, x, y, L2(9.0), generator(0, "attack"))

    if refused:
        with pytest.raises(ConfigError, match="answers the same images differently"):
            attack()
    else:
        assert torch.equal(attack(), x)


def test_a_backward_pass_ends_at_the_images() -> None:
    weight = torch.tensor([[1.0, -2.0], [3.0, 0.5]], requires_grad=True)
    model = sealed(lambda x: (x.flatten(1) ** 2) @ weight, torch.float64)
    weight.data = weight.data.double()
    x = torch.tensor([[[[0.5]], [[0.25]]]], requires_grad=True)
    model(x)[0, 1].backward()
    assert x.grad is not None
    assert torch.equal(x.grad.flatten(), torch.tensor([2 * 0.5 * -2.0, 2 * 0.25 * 0.5]))
    assert weight.grad is None


def test_writing_into_the_logits_does_not_reach_the_target() -> None:
    own = torch.tensor([[1.0, 2.0]])
    model = sealed(lambda x: own, torch.float32)
    model(torch.zeros(1, 3, 2, 2)).fill_(9.0)
    model(torch.zeros(1, 3, 2, 2, requires_grad=True)).detach().fill_(9.0)
    assert torch.equal(own, torch.tensor([[1.0, 2.0]]))

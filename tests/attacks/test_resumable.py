"""An attack that is interrupted goes on from its last finished step, to the same bits."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from alp import seeding
from alp.attacks import APGD, BIM, L2, LBFGS, PGD, Linf, Square
from alp.attacks.resumable import drawing_from, resumable, steps

ATTACKS = {
    "pgd": PGD(6, restarts=2),
    "bim": BIM(5),
    "apgd": APGD(9, restarts=2),
    "square": Square(7),
    "square that asks once": Square(7, rescored=False),
    "lbfgs": LBFGS(4, 2),
}


class Stopped(BaseException):
    """What an interruption looks like from inside."""


class Memory:
    """A store, and how often something was kept."""

    def __init__(self) -> None:
        self.data: bytes | None = None
        self.times = 0

    def load(self) -> bytes | None:
        return self.data

    def save(self, data: bytes) -> None:
        self.data, self.times = data, self.times + 1


class Noisy:
    """A random target that is interrupted at one of its calls."""

    def __init__(self, stop: float = math.inf, layout=torch.contiguous_format) -> None:
        self.noise = seeding.generator(0, "noise")
        self.layout = layout
        self.left, self.calls = stop, 0
        self.weight = seeding.normal((5, 3 * 6 * 6), seeding.generator(0, "weight"))

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self.calls >= self.left:
            raise Stopped
        self.calls += 1
        noisy = x + 0.1 * seeding.normal(x.shape, self.noise)
        return noisy.flatten(1) @ self.weight.T

    def attacked(self, attack, threat) -> torch.Tensor:
        x = torch.rand(4, 3, 6, 6, generator=seeding.generator(0, "x"))
        x = x.contiguous(memory_format=self.layout)
        source = seeding.generator(0, "attack")
        with drawing_from(self.noise, source):
            return attack(self, x, torch.arange(4), threat, source)


@pytest.mark.parametrize("threat", [Linf(0.1), L2(0.5)], ids=str)
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_goes_on_to_the_same_bits_wherever_it_stopped(name, threat) -> None:
    whole = Noisy()
    wanted = whole.attacked(ATTACKS[name], threat)
    for stop in range(1, whole.calls, 3):
        store, first, second = Memory(), Noisy(stop), Noisy()
        with pytest.raises(Stopped), resumable(store):
            first.attacked(ATTACKS[name], threat)
        with resumable(store):
            found = second.attacked(ATTACKS[name], threat)
        assert found.equal(wanted)
        assert found.stride() == wanted.stride()


def test_the_steps_before_are_not_done_again() -> None:
    whole, first, second, store = Noisy(), Noisy(40), Noisy(), Memory()
    whole.attacked(PGD(50), Linf(0.1))
    with pytest.raises(Stopped), resumable(store):
        first.attacked(PGD(50), Linf(0.1))
    with resumable(store):
        second.attacked(PGD(50), Linf(0.1))
    assert (whole.calls, second.calls) == (50, 10)


def test_strides_are_kept() -> None:
    """The last bit of a convolution may depend on them."""
    target, store = Noisy(3, torch.channels_last), Memory()
    with pytest.raises(Stopped), resumable(store):
        target.attacked(PGD(6), Linf(0.1))
    seen = SimpleNamespace(point=torch.zeros(4, 3, 6, 6))
    sources = seeding.generator(0, "any"), seeding.generator(0, "other")
    with resumable(store), drawing_from(*sources):
        list(steps(3, seen))
    assert seen.point.is_contiguous(memory_format=torch.channels_last)


def test_what_is_killed_between_two_savings_goes_on_from_the_earlier() -> None:
    whole, store = Noisy(), Memory()
    wanted = whole.attacked(PGD(6, restarts=2), Linf(0.1))

    class Once(Memory):
        """Keeps what it was given first, as a process does that is killed a step later."""

        def save(self, data: bytes) -> None:
            if self.data is None:
                super().save(data)

    store, second = Once(), Noisy()
    with pytest.raises(Stopped), resumable(store, every=0):
        Noisy(9).attacked(PGD(6, restarts=2), Linf(0.1))
    with resumable(store):
        assert second.attacked(PGD(6, restarts=2), Linf(0.1)).equal(wanted)
    assert second.calls == whole.calls - 1


def test_what_is_quick_is_not_kept() -> None:
    store = Memory()
    with resumable(store):
        Noisy().attacked(PGD(6), Linf(0.1))
    assert store.times == 0


def test_loops_inside_loops() -> None:
    """Sums of sums, stopped in each of the inner steps."""

    def total(stop: float) -> tuple[float, list[tuple[int, int]]]:
        seen, outer = [], SimpleNamespace(sum=torch.zeros(()))
        for i in steps(3, outer):
            inner = SimpleNamespace(sum=torch.zeros(()))
            for j in steps(4, inner):
                if len(seen) == stop:
                    raise Stopped
                seen.append((i, j))
                inner.sum = inner.sum + j
            outer.sum = outer.sum + (i + 1) * inner.sum
        return float(outer.sum), seen

    wanted, every = total(math.inf)
    for stop in range(12):
        store = Memory()
        with pytest.raises(Stopped), resumable(store):
            total(stop)
        with resumable(store):
            found, seen = total(math.inf)
        assert found == wanted
        assert seen == every[stop:]

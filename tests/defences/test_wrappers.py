"""What a wrapper declares it has: every capability of the defence inside is passed on."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Iterator
from importlib import import_module

import pytest
import torch
from torch import Tensor

import alp.defences
import alp.deploy
from alp.attacks import APGD, Linf
from alp.data import Images
from alp.defences import Defended
from alp.defences.adapters import DeclaredSurrogate, HalfPrecision, Logarithm, _WithDraws
from alp.defences.base import CAPABILITIES, Defence, Wrapper
from alp.defences.magnet import MagNet
from alp.defences.quantise import quantise
from alp.defences.quantised import Quantised
from alp.deploy import EngineTarget, SequentialDefended, build
from alp.evaluation import Entry, Probes, Suite, evaluate
from alp.seeding import Source, generator, initialising, uniform

SIDE = 8


class Everything(MagNet):
    """A defence with every capability there is."""

    capabilities = CAPABILITIES

    def masked(self, x: Tensor, source: Source, draws: int) -> Tensor:
        return self.logits(x.detach(), source, draws)


def calibration() -> Tensor:
    return uniform((32, 3, SIDE, SIDE), generator(0, "calibration"))


WRAPPERS: dict[type[Wrapper], Callable[[Defence, Defended], Wrapper]] = {
    DeclaredSurrogate: lambda whole, purified: DeclaredSurrogate(whole, "the identity"),
    EngineTarget: lambda whole, purified: EngineTarget(
        build("eager", purified, 1, size=(SIDE, SIDE)), purified
    ),
    HalfPrecision: lambda whole, purified: HalfPrecision(whole),
    Logarithm: lambda whole, purified: Logarithm(whole),
    Quantised: lambda whole, purified: quantise(purified, calibration(), method="minmax"),
    SequentialDefended: lambda whole, purified: SequentialDefended(
        purified.classifier, purified.purifier
    ),
    _WithDraws: lambda whole, purified: _WithDraws(whole, 3),
}
"""A wrapper to how one is made, around a defence with every capability where it takes any."""


def subclasses(kind: type) -> Iterator[type]:
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


@pytest.mark.slow
def test_every_wrapper_is_here() -> None:
    for package in (alp.defences, alp.deploy):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            import_module(module.name)
    found = {each for each in subclasses(Wrapper) if each.__module__.startswith("alp.")}
    assert found == set(WRAPPERS)


@pytest.fixture
def everything(new_classifier) -> Everything:
    with initialising(0, "everything"):
        return Everything(new_classifier()).eval()


@pytest.fixture
def wrapped(request, everything, new_classifier, new_purifier) -> Wrapper:
    purified = Defended(new_classifier(), new_purifier(), 2).eval()
    return WRAPPERS[request.param](everything, purified).eval()


def asked(defence: Defence, view: str, x: Tensor) -> Tensor:
    """What it answers at a capability, on the draws of a fresh generator."""
    ask = getattr(defence, view)
    given = {"source": generator(0, "view"), "draws": 1}
    return ask(
        x, **{name: given[name] for name in inspect.signature(ask).parameters if name != "x"}
    )


@pytest.mark.parametrize("wrapped", WRAPPERS, indirect=True)
def test_every_declared_capability_is_passed_on(wrapped: Wrapper, new_images) -> None:
    x = new_images(2, SIDE, SIDE)
    assert wrapped.capabilities == wrapped.inner.capabilities
    for view in sorted(wrapped.capabilities):
        mine, its = (asked(each, view, x) for each in (wrapped, wrapped.inner))
        assert mine.shape == its.shape, view
        assert mine.dtype == its.dtype, view
    if "rejects" in wrapped.capabilities:
        assert torch.equal(wrapped.rejects(x), wrapped.inner.rejects(x))
        alarms = [asked(each, "watched", x)[..., -1] for each in (wrapped, wrapped.inner)]
        assert torch.allclose(*alarms, atol=0.02)


def test_the_alarm_is_no_probability(everything, new_images) -> None:
    everything.thresholds.fill_(1e-4)
    x = new_images(2, SIDE, SIDE)
    alarm = asked(everything, "watched", x)[..., -1]
    assert (alarm > 0).all()
    assert torch.equal(asked(Logarithm(everything), "watched", x)[..., -1], alarm)


def test_detectors_are_attacked_in_half_precision(everything, new_images) -> None:
    pixels = (255 * new_images(4, SIDE, SIDE)).round().to(torch.uint8)
    data = Images.of(pixels, torch.arange(4), "abcd", "toy", "test")
    entries = (Entry("detectors", APGD(2, loss="evasion")),)
    suite = Suite("one", entries, (), 1, Probes(0))
    record = evaluate(everything, data, Linf(8 / 255), suite, attack_precision="bfloat16")
    assert record.header["attack_precision"] == "bfloat16"
    assert "detectors apgd-2 evasion_select" in record.columns

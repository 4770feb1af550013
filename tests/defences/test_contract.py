"""The contract of a defence, over everything that is registered and every adapter and wrapper."""

from __future__ import annotations

import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import chain

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from alp.attacks import Linf, Square
from alp.bench import measure
from alp.config import ClassifierConfig, DiffusionConfig, LatentsConfig
from alp.data import Images
from alp.defences import Defended, InputNoise
from alp.defences.adapters import FixedCallable, HalfPrecision, RandomCallable
from alp.defences.architectures import Network
from alp.defences.base import CAPABILITIES, DEFENCES, Defence, Deterministic, classify
from alp.defences.cascade import Cascade
from alp.defences.checkpoint import load_model, save
from alp.defences.densepure import DensePure
from alp.defences.diffpure import GDMP, DiffPure, OneStep
from alp.defences.diffusion import Diffusion
from alp.defences.hgd import HGD
from alp.defences.magnet import MagNet
from alp.defences.quantise import quantise
from alp.defences.quantised import Quantised
from alp.defences.referenced import Referenced
from alp.defences.references import Found, Reference
from alp.defences.smoothed import Smoothed
from alp.defences.smoothing import RandomisedSmoothing
from alp.defences.transforms import JPEG, BitDepth, MedianSmoothing
from alp.defences.unified import Unified, UnifiedLatents
from alp.deploy import Consensus, EngineTarget, SequentialDefended, build, export_onnx
from alp.errors import ConfigError
from alp.evaluation import SUITES, Entry, Probes, evaluate
from alp.seeding import Common, generator, initialising, normal, uniform

pytestmark = pytest.mark.slow

DRAWS, SIDE = 3, 8


def tiny() -> Diffusion:
    """A small diffusion model whose every weight counts."""
    with initialising(0, "diffusion"):
        model = Diffusion(DiffusionConfig(width=4)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * normal(parameter.shape, generator(0, "stir"))
    return model


def reformed(head: nn.Module) -> MagNet:
    """MagNet with weights that are its own."""
    with initialising(0, "magnet"):
        return MagNet(head)


def denoised(head: nn.Module) -> HGD:
    """HGD, whose denoiser does something."""
    with initialising(0, "hgd"):
        model = HGD(head, 4)
    with torch.no_grad():
        for parameter in model.denoiser.parameters():
            parameter += 0.05 * normal(parameter.shape, generator(0, "stir"))
    return model


def attentive() -> Network:
    """A small transformer."""
    with initialising(0, "network"):
        return Network(ClassifierConfig("tiny", 4, "attention")).eval()


def unified(head: nn.Module) -> Unified:
    """Unified latents, all of whose weights count."""
    with initialising(0, "unified"):
        latents = UnifiedLatents(LatentsConfig(4, 4)).eval()
    with torch.no_grad():
        for parameter in latents.parameters():
            parameter += 0.05 * normal(parameter.shape, generator(0, "stir"))
    return Unified(head, latents, steps=2, draws=DRAWS)


def lighter(head: nn.Module) -> nn.Module:
    """Another classifier of the same classes."""
    other = deepcopy(head)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.05 * normal(parameter.shape, generator(0, "light"))
    return other


def rounded(defence: Defence) -> Quantised:
    """Quantised on images of noise."""
    images = uniform((32, 3, SIDE, SIDE), generator(0, "calibration"))
    return quantise(defence.eval(), images, method="minmax")


class Noisy(nn.Module):
    """A random classifier as others write them: it draws from torch's global generator."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return classify(self.classifier, x + 0.1 * torch.randn(x.shape).to(x))


def engine_target(classifier, purifier) -> EngineTarget:
    model = Defended(classifier, purifier, DRAWS)
    return EngineTarget(build("eager", model, 1, size=(SIDE, SIDE)), model)


def sequential(classifier, purifier) -> SequentialDefended:
    rule = Consensus(draws=DRAWS, first=2, group=1, error=0.5)
    return SequentialDefended(classifier, purifier, rule)


REGISTERED: dict[str, Callable[..., Defence]] = {
    "bit-depth": lambda head, front: BitDepth(head),
    "cascade": lambda head, front: Cascade(head, lighter(head), 0.3),
    "classifier": lambda head, front: head,
    "defended": lambda head, front: Defended(head, front, DRAWS),
    "densepure": lambda head, front: DensePure(head, tiny(), seeds=2),
    "diffpure": lambda head, front: DiffPure(head, tiny(), steps=2, gradient_steps=2),
    "gdmp": lambda head, front: GDMP(head, tiny(), steps=2, rounds=1, gradient_steps=2),
    "hgd": lambda head, front: denoised(head),
    "input-noise": lambda head, front: InputNoise(head, 0.1, DRAWS),
    "jpeg": lambda head, front: JPEG(head),
    "magnet": lambda head, front: reformed(head),
    "median": lambda head, front: MedianSmoothing(head),
    "quantised": lambda head, front: rounded(Defended(head, front, DRAWS)),
    "reference": lambda head, front: Referenced(Reference("function", "toy:net"), Found(head)),
    "network": lambda head, front: attentive(),
    "one-step": lambda head, front: OneStep(head, tiny()),
    "smoothed": lambda head, front: Smoothed(head, 0.1, DRAWS),
    "unified": lambda head, front: unified(head),
    "smoothing": lambda head, front: RandomisedSmoothing(head, 0.1, DRAWS),
}
"""Registered name to a small one, of a classifier and a purifier."""

OTHERS: dict[str, Callable[..., Defence]] = {
    "engine": engine_target,
    "fixed-callable": lambda head, front: FixedCallable(head),
    "half-precision": lambda head, front: HalfPrecision(Defended(head, front, DRAWS)),
    "random-callable": lambda head, front: RandomCallable(Noisy(head), DRAWS),
    "sequential": sequential,
}
"""What is a defence without being registered."""

SAVED = set(REGISTERED)
"""What can be written to a weights file; everything else says why not."""

NO_META = {
    "cascade": "numbers decide which classifier answers",
    "jpeg": "Pillow compresses numbers",
    "engine": "an engine computes on numbers",
    "half-precision": "torch has no autocast of meta tensors",
}
"""What cannot be asked for shapes alone, and why."""


def make(name: str, new_classifier, new_purifier) -> Defence:
    factories = REGISTERED | OTHERS
    if name not in factories:
        pytest.fail(
            f"the defence {name!r} is registered, but has no factory in REGISTERED; add one, so "
            "that it is held to the contract"
        )
    return factories[name](new_classifier(), new_purifier()).eval()


@pytest.fixture(params=[*DEFENCES, *OTHERS])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def defence(name, new_classifier, new_purifier) -> Defence:
    return make(name, new_classifier, new_purifier)


@pytest.fixture
def x(new_images) -> Tensor:
    return new_images(2, SIDE, SIDE)


def source(seed: int = 0) -> torch.Generator:
    return generator(seed, "contract")


def views(defence: Defence, x: Tensor, seed: int = 0) -> dict[str, Tensor]:
    """Everything that it can show of ``x``, each on the draws of a fresh generator."""
    shown = {
        "forward": defence(x, source(seed)),
        "logits": defence.logits(x, source(seed), 2),
        "purify": defence.purify(x, source(seed)),
    }
    for view in ("masked", "bpda"):
        if view in defence.capabilities:
            shown[view] = getattr(defence, view)(x, source(seed), 2)
    if "bare" in defence.capabilities:
        shown["bare"] = defence.bare(x)
    if "rejects" in defence.capabilities:
        shown["watched"] = defence.watched(x, source(seed), 2)
        assert tuple(defence.rejects(x).shape) == (len(x),)
    return shown


def test_no_factory_is_of_a_defence_that_is_gone() -> None:
    assert set(REGISTERED) <= set(DEFENCES)


def test_answers_have_their_shapes_and_are_finite(defence, x) -> None:
    draws = 2 if defence.stochastic else 1
    shapes = {"forward": (2, 4), "bare": (2, 4), "purify": tuple(x.shape)}
    shapes["watched"] = (draws, 2, 5)
    for view, answer in views(defence, x).items():
        assert tuple(answer.shape) == shapes.get(view, (draws, 2, 4)), view
        assert answer.isfinite().all(), view
        assert answer.dtype == torch.float32, view
    assert defence(x).shape == (2, 4), "without a source the operating system seeds it"
    assert defence.draws == (defence.draws if defence.stochastic else 1)
    assert defence.capabilities <= CAPABILITIES


def test_what_it_lacks_it_says(defence, x) -> None:
    """A defence that is but a function shows its one answer instead."""
    for view in CAPABILITIES - defence.capabilities - {"purify"}:
        alone = view in ("bare", "rejects")
        ask = partial(getattr(defence, view), x, *(() if alone else (source(), 2)))
        if isinstance(defence, Deterministic) and view != "rejects":
            assert torch.equal(ask().reshape(2, 4), defence(x))
        else:
            with pytest.raises(ConfigError, match=f"has no '{view}'"):
                ask()
    if "purify" not in defence.capabilities:
        assert defence.purify(x, source()) is x


def test_its_draws_are_those_of_its_source_alone(defence, x) -> None:
    held = torch.get_rng_state(), str(np.random.get_state(legacy=False)), random.getstate()  # noqa: NPY002
    first, again, other = views(defence, x), views(defence, x), views(defence, x, seed=1)
    assert torch.equal(held[0], torch.get_rng_state())
    assert held[1:] == (str(np.random.get_state(legacy=False)), random.getstate())  # noqa: NPY002
    for view, answer in first.items():
        assert torch.equal(answer, again[view]), view
    assert torch.equal(first["logits"], other["logits"]) is not defence.stochastic
    if defence.stochastic:
        assert not torch.equal(first["logits"][0], first["logits"][1])


def test_the_halves_are_the_whole(name, defence, x) -> None:
    logits = defence.logits(x, source(), DRAWS)
    state = defence.encode(x)
    halves = defence.sample(state, source(), DRAWS)[: len(logits)]
    rounding = {"half-precision": 0.05, "engine": 1e-4}.get(name, 1e-5)
    assert (logits - halves).abs().max() <= rounding * (1 + halves.abs().max())
    rows = torch.tensor([1])
    bank = Common(source())
    some = defence.sample(defence.select(state, rows), bank, 2)
    whole = defence.sample(state, Common(source()), 2)
    assert torch.allclose(some, whole[:, rows], atol=1e-5)


def test_the_prediction_is_made_of_its_draws(name, defence, x) -> None:
    logits = defence.logits(x, source(), defence.draws)
    expected = logits.mean(0)
    if name == "densepure":  # votes, of seeds that are always the same
        assert torch.equal(expected.sum(1), torch.full((2,), 2.0))
    elif name == "smoothing":  # votes
        expected = nn.functional.one_hot(logits.argmax(2), 4).sum(0).float()
    elif name == "sequential":  # the first draws of each image
        taken = defence.outcome(x, source()).draws
        expected = torch.stack([logits[:n, row].mean(0) for row, n in enumerate(taken)])
    elif name == "half-precision":  # what decides is not rounded
        expected = defence.inner.logits(x, source(), DRAWS).mean(0)
    elif name == "smoothed":  # votes, whose noise lies on a lattice
        assert torch.equal(defence(x, source()).sum(1), torch.full((2,), float(DRAWS)))
        votes = DRAWS * nn.functional.one_hot(defence.bare(x).argmax(1), 4)
        assert torch.equal(defence.at_sigma(3e-4)(x, source()), votes.float())
        return
    elif name == "engine":  # whose noise comes from numpy
        noise = defence.engine.noise(np.random.default_rng(0), DRAWS, 2)
        mu = defence.engine.encode(x.numpy())
        expected = torch.from_numpy(defence.engine.decode_classify(mu, noise).mean(0))
        assert np.allclose(defence.engine.predict(x.numpy(), DRAWS, 0), expected, atol=1e-5)
        return
    assert torch.allclose(defence(x, source()), expected, atol=1e-5)


def gradient(answer: Callable[[Tensor], Tensor], x: Tensor, weight: Tensor) -> Tensor:
    point = x.clone().requires_grad_()
    return torch.autograd.grad((answer(point) * weight.to(x)).sum(), point)[0]


def test_the_gradient_is_the_slope_or_its_declared_surrogate(name, defence, x) -> None:
    weight = normal((2 if defence.stochastic else 1, 2, 4), generator(0, "weight"))
    if name == "engine":
        assert defence.surrogate
        ours, theirs = (
            gradient(lambda point, each=each: each.logits(point, source(), 2), x, weight)
            for each in (defence, defence.inner)
        )
        assert torch.allclose(ours, theirs, atol=1e-4 * float(theirs.abs().max()))
        return
    twin, x = defence.in_float64(), x.double()

    def answer(point: Tensor) -> Tensor:
        return twin.logits(point, source(), 2)

    slope = gradient(answer, x, weight)
    assert slope.abs().sum() > 0
    if name in ("densepure", "quantised"):  # votes or levels, which are flat almost everywhere
        assert defence.surrogate
        return
    if name in ("jpeg", "bit-depth"):
        assert defence.surrogate
        straight = gradient(lambda point: twin.bpda(point, source(), 2), x, weight)
        assert torch.allclose(slope, straight)
        return
    for direction in (slope, normal(x.shape, generator(0, "direction")).double()):
        step = 1e-5 * direction / direction.norm()
        with torch.no_grad():
            ahead, behind = (((answer(x + s * step)) * weight).sum() for s in (1, -1))
        predicted = 2 * (slope * step).sum()
        assert ahead - behind == pytest.approx(float(predicted), rel=1e-3, abs=1e-9)
    assert next(iter(defence.parameters())).dtype == torch.float32, "a copy computes in float64"


def test_it_comes_back_from_a_file_or_says_why_not(name, defence, x, tmp_path) -> None:
    if name == "reference":
        pytest.skip("it is code of the tests' own; tests/defences/references saves and loads them")
    if name not in SAVED:
        with pytest.raises(ConfigError, match="cannot be saved"):
            save(defence, tmp_path / "weights")
        assert not list(tmp_path.iterdir())
        return
    assert save(defence, tmp_path / "weights") == save(defence, tmp_path / "again")
    assert (tmp_path / "weights").read_bytes() == (tmp_path / "again").read_bytes()
    back = load_model(tmp_path / "weights")
    assert type(back) is type(defence)
    assert back.describe() == defence.describe()
    assert back.describe()["kind"] == name
    assert back.draws == defence.draws
    assert torch.allclose(back(x, source()), defence(x, source()), atol=1e-6)
    save(back, tmp_path / "third")
    assert (tmp_path / "third").read_bytes() == (tmp_path / "weights").read_bytes()


def test_it_moves_to_float64(name, defence, x) -> None:
    near = defence.logits(x, source(), 2)
    moved = deepcopy(defence).double()
    answer = moved.logits(x.double(), source(), 2)
    engine = name == "engine"  # whose own numbers stay as they are
    assert answer.dtype == (torch.float32 if engine else torch.float64)
    rounding = 0.05 if name == "half-precision" else 1e-4
    assert (answer - near).abs().max() <= rounding * (1 + near.abs().max())


CUDA = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="GPU"))
APPLE = pytest.mark.skipif(not torch.backends.mps.is_available(), reason="Apple's GPU")
MPS = pytest.param("mps", marks=APPLE)


@pytest.mark.parametrize("device", ["meta", CUDA, MPS])
def test_it_moves_to_another_device(name, defence, x, device: str) -> None:
    moved = deepcopy(defence).to(device)
    held = chain(moved.parameters(), moved.buffers())
    assert {each.device.type for each in held} <= {device}
    if device == "meta" and name in NO_META:
        return
    where = "cpu" if device == "meta" else device
    answer = moved.logits(x.to(device), generator(0, "contract", device=where), 2)
    assert answer.device.type == device
    assert answer.shape == (2 if defence.stochastic else 1, 2, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[0], r"shape \(3, 8, 8\)"),
        (lambda x: x[:, :1], r"shape \(2, 1, 8, 8\)"),
        (lambda x: x[:0], r"shape \(0, 3, 8, 8\)"),
        (lambda x: (255 * x).byte(), "divide bytes by 255"),
        (lambda x: 255 * x, r"images in \[0,1\]"),
        (lambda x: x - 1, r"images in \[0,1\]"),
        (lambda x: x * float("nan"), r"images in \[0,1\]"),
    ],
)
def test_what_is_no_image_is_refused(defence, x, change, message) -> None:
    with pytest.raises(ConfigError, match=message):
        defence(change(x), source())


@pytest.mark.parametrize("draws", [0, -1, 1.5, True])
def test_what_is_no_number_of_draws_is_refused(defence, x, draws) -> None:
    with pytest.raises(ConfigError, match=f"draws is {draws}"):
        defence(x, source(), draws=draws)
    with pytest.raises(ConfigError, match=f"draws is {draws}"):
        defence.with_draws(draws)


def test_another_number_of_draws(defence, x) -> None:
    before = defence.draws
    other = defence.with_draws(7)
    assert defence.draws == before
    assert other.draws == (7 if defence.stochastic else 1)
    assert torch.equal(other(x, source()), defence(x, source(), draws=7))


def test_another_noise_level(name, defence, x) -> None:
    before = defence.logits(x, source(), 2)
    if defence.sigma is None:
        assert defence.at_sigma(0.7) is defence
        return
    if name == "engine":
        with pytest.raises(ConfigError, match="build one"):
            defence.at_sigma(0.7)
        return
    other = defence.with_draws(7).at_sigma(0.7)
    assert other.sigma == pytest.approx(0.7)
    assert other.draws == 7
    assert not torch.equal(other.logits(x, source(), 2), before)
    assert torch.equal(defence.logits(x, source(), 2), before)


def shrunk(entry: Entry) -> Entry:
    effort = "queries" if isinstance(entry.attack, Square) else "steps"
    return replace(entry, attack=replace(entry.attack, **{effort: 2}), draws=min(entry.draws, 2))


def quick(norm: str, whole=SUITES["quick"]):
    """Suite ``quick``, every attack with two steps."""
    suite = whole(norm)
    opening, closing = (tuple(map(shrunk, part)) for part in (suite.opening, suite.closing))
    probes = Probes(images=2, steps=(1, 2), draws=2)
    return replace(suite, opening=opening, closing=closing, evaluations=1, probes=probes)


def test_it_is_judged_by_the_suite_quick(defence, x, monkeypatch) -> None:
    monkeypatch.setitem(SUITES, "quick", quick)
    pixels = (255 * x).round().to(torch.uint8)
    labels = defence(pixels / 255, source(), draws=9).argmax(1)
    data = Images.of(pixels, labels, "abcd", "toy", "test")
    record = evaluate(defence, data, Linf(8 / 255), "quick")
    levels = {"score", "single"} | ({"fixed", "eot"} if defence.stochastic else set())
    levels |= {"masked", "bpda"} & defence.capabilities
    levels |= {"detectors"} if "rejects" in defence.capabilities else set()
    levels |= {"oblivious"} if "bare" in defence.capabilities else set()
    assert {entry["level"] for entry in record.header["entries"]} == levels
    assert record.header["draws"] == defence.draws
    assert not record.header["warnings"]
    assert record.columns["clean_select"].any()
    slope = "surrogate" if defence.surrogate else "finite-difference"
    assert {"null", "steps", slope} <= {check["check"] for check in record.header["checks"]}


def test_it_is_timed(defence, x) -> None:
    taken = measure(lambda: defence(x, source()), warmup=0, repeats=2)
    assert 0 < taken.p10_ms <= taken.median_ms <= taken.p90_ms


def test_it_is_exported_or_says_why_not(name, defence, tmp_path) -> None:
    pytest.importorskip("onnxscript")
    if name == "defended":
        described = export_onnx(defence, tmp_path, noise="inside", size=(SIDE, SIDE))
        files = {each["file"] for each in described["files"].values()}
        assert {path.name for path in tmp_path.iterdir()} > files
        return
    with pytest.raises(ConfigError, match="give a defended classifier"):
        export_onnx(defence, tmp_path, size=(SIDE, SIDE))
    assert not list(tmp_path.iterdir())

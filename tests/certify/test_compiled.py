"""A classifier alone in every engine: the same votes, one network in every process, and what is
refused."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import alp
from alp.defences import Defended
from alp.defences.base import classify
from alp.defences.lattice import to_lattice
from alp.defences.plan import BLOCK
from alp.defences.smoothed import Smoothed
from alp.deploy import BACKENDS, CompiledClassifier
from alp.errors import AlpError, ConfigError, UnknownNameError
from alp.evaluation.certificate_attack import attack_certificates
from alp.seeding import generator, normal

pytestmark = pytest.mark.slow

CASES = [(name, each) for name, backend in BACKENDS.items() for each in backend.precisions]
CLOSE = {"float32": 1e-4, "bfloat16": 0.1, "int8": 0.5}
"""Largest difference of a logit to torch, relative to the largest one."""
SIGMA = 0.25


@pytest.fixture
def x() -> Tensor:
    """Noisy images, beyond [0,1]."""
    return 0.5 + 0.5 * normal((BLOCK + 3, 3, 8, 8), generator(0, "x"))


@pytest.fixture
def compiled_of(voter, x):
    def make(backend: str, precision: str = "float32") -> CompiledClassifier:
        for package in BACKENDS[backend].needs:
            pytest.importorskip(package)
        return CompiledClassifier(voter, backend, precision, (8, 8), calibration=x.numpy())

    return make


@pytest.fixture(params=[case for case in CASES if case[0] != "compile"], ids="-".join)
def case(request, compiled_of) -> CompiledClassifier:
    return compiled_of(*request.param)


def test_an_engine_is_the_classifier(case, voter, x) -> None:
    """Here and in another process; the images beside one change nothing."""
    with torch.no_grad():
        expected = voter.answer(x)
    logits = case(x)
    assert logits.dtype == torch.float32
    assert (logits - expected).abs().max() <= CLOSE[case.precision] * expected.abs().max()
    assert expected.argmax(1).bincount(minlength=4).min() > 0
    assert torch.equal(case(x[5:6]), logits[5:6])
    assert torch.equal(case(torch.cat([x[:6], 3 * x[6:]]))[:6], logits[:6])
    state = pickle.dumps(case)
    assert b"_network" not in state
    assert torch.equal(pickle.loads(state)(x), logits)
    told = case.described
    assert [told[key] for key in ("backend", "precision")] == [case.backend, case.precision]
    assert set(told["libraries"]) == set(BACKENDS[case.backend].needs)
    assert ("calibration" in told) == (case.precision == "int8")


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
@pytest.mark.slow
def test_compiled_by_torch(compiled_of, voter, x) -> None:
    with torch.no_grad():
        assert torch.allclose(compiled_of("compile")(x), voter.answer(x), atol=1e-4)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_purifier_without_noise_is_compiled_with_its_classifier(
    backend, new_purifier, new_classifier, x
) -> None:
    """Denoised smoothing: what is exported draws nothing."""
    for package in BACKENDS[backend].needs:
        pytest.importorskip(package)
    denoised = Defended(new_classifier(), new_purifier("fixed", sigma=0.0), draws=1).eval()
    with torch.no_grad():
        expected = classify(denoised, x)
    logits = CompiledClassifier(denoised, backend, "float32", (8, 8))(x)
    assert (logits - expected).abs().max() <= CLOSE["float32"] * expected.abs().max()


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_votes_are_those_of_torch_on_nearly_all_draws(
    compiled_of, voter, new_data, backend
) -> None:
    plain = Smoothed(voter, SIGMA)
    fast = Smoothed(voter, SIGMA, engine=compiled_of(backend))
    points, _ = to_lattice(new_data(6).images)
    noise = plain.block((3, 8, 8), 0, 0)
    theirs = torch.cat([plain.votes(point, noise) for point in points])
    ours = torch.cat([fast.votes(point, noise) for point in points])
    assert (theirs.sum(0) > 0).sum() > 1
    assert (ours == theirs).all(1).float().mean() >= 0.995


def test_attackers_get_its_values_and_the_float_models_gradient(compiled_of, voter, x) -> None:
    plain = Smoothed(voter, SIGMA)
    fast = Smoothed(voter, SIGMA, engine=compiled_of("eager", "bfloat16"))
    found = []
    for each in (plain, fast):
        point = x[:2].clamp(0, 1).requires_grad_()
        logits = each.logits(point, generator(0, "draw"), 4)
        found.append((logits.detach(), torch.autograd.grad(logits.sum(), point)[0]))
    assert torch.equal(found[0][1], found[1][1])
    assert not torch.equal(found[0][0], found[1][0])
    source = generator(0, "draw")
    noisy = torch.cat([fast.transform(x[:2].clamp(0, 1), source) for _ in range(4)])
    assert torch.allclose(found[1][0].view(8, 4), fast.engine(noisy), atol=1e-5)


def test_a_certificate_of_an_engine_is_attacked(compiled_of, voter, new_data) -> None:
    fast = Smoothed(voter, SIGMA, engine=compiled_of("openvino"))
    record = alp.certify(fast, new_data(3), radii=(0.0,), budget=256)
    assert record.header["backend"] == "openvino"
    assert attack_certificates(fast, new_data(3), record, 2)["violations"] == 0


def test_weights_and_what_is_saved_do_not_depend_on_the_engine(
    compiled_of, voter, tmp_path
) -> None:
    plain, fast = Smoothed(voter, SIGMA), Smoothed(voter, SIGMA, engine=compiled_of("eager"))
    assert plain.describe() == fast.describe()
    digests = [
        alp.save(each, tmp_path / f"{i}.safetensors") for i, each in enumerate((plain, fast))
    ]
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"backend": "eager", "precision": "int8"}, "take backend onnxruntime or openvino"),
        ({"backend": "onnxruntime", "precision": "bfloat16"}, "only float32, int8; take backend"),
        ({"backend": "openvino", "precision": "int8"}, "int8 needs some clean training images"),
        ({"precision": "float16"}, "has no precision 'float16'"),
        ({"processes": 0}, "processes is 0"),
    ],
)
def test_what_cannot_be_combined(voter, new_data, settings, words) -> None:
    with pytest.raises(ConfigError, match=words):
        alp.certify(voter, new_data(2), sigma=SIGMA, **settings)


def test_a_backend_that_is_none_or_not_installed(voter, new_data, monkeypatch) -> None:
    with pytest.raises(UnknownNameError, match="openvino"):
        alp.certify(voter, new_data(2), sigma=SIGMA, backend="tensorrt")
    monkeypatch.setattr("alp.deploy.backends.find_spec", lambda name: None)
    with pytest.raises(AlpError, match=r"pip install .*\.\[openvino\]"):
        alp.certify(voter, new_data(2), sigma=SIGMA, backend="openvino")


class Undecided(nn.Module):
    """What nobody can turn into a graph."""

    def forward(self, x: Tensor) -> Tensor:
        scores = x.flatten(1)[:, :4]
        return scores if float(scores.sum()) > 0 else -scores


def test_a_classifier_that_cannot_be_compiled(new_data) -> None:
    pytest.importorskip("openvino")
    with pytest.raises(AlpError, match=r"cannot compile the classifier.*take backend eager"):
        alp.certify(Undecided().eval(), new_data(2), sigma=SIGMA, radii=(0.0,), backend="openvino")


def test_images_of_another_size(compiled_of) -> None:
    with pytest.raises(ConfigError, match=r"compiled for \(batch, 3, 8, 8\)"):
        compiled_of("eager")(torch.zeros(2, 3, 4, 4))


def test_int8_is_one_network(compiled_of, voter, new_data) -> None:
    """Quantised twice it is the same, and its record names what set its ranges."""
    compiled_of("openvino", "int8")
    calibration = np.random.default_rng(0).random((20, 3, 8, 8), np.float32)
    settings = {"sigma": SIGMA, "radii": (0.0,), "budget": 256, "backend": "openvino"}
    first, second = (
        alp.certify(voter, new_data(3), **settings, precision="int8", calibration=calibration)
        for _ in range(2)
    )
    assert first.same(second)
    assert first.header["precision"] == "int8"
    other = alp.certify(
        voter, new_data(3), **settings, precision="int8", calibration=calibration[:10]
    )
    assert other.header["calibration"] != first.header["calibration"]

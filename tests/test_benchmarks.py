"""The benchmarks run, and what they compute besides times is right."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import alp
from alp.attacks import PGD
from alp.config import DiffusionConfig
from alp.data.images import Images
from alp.defences import Defended, InputNoise
from alp.defences.assemble import assemble
from alp.defences.base import classify
from alp.defences.checkpoint import load_model, save, weights_digest
from alp.defences.diffusion import Diffusion
from alp.defences.packaged import load_kind
from alp.defences.quantise import quantise
from alp.errors import ConfigError
from alp.evaluation import About
from alp.evaluation.suites import SUITES, Entry, Probes, Suite
from alp.records import read, robust_share, write
from alp.seeding import generator, initialising, normal

pytest.importorskip("pyautoattack")

pytestmark = pytest.mark.slow
FOLDER = Path(__file__).parents[1] / "benchmarks"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their annotations up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def weights(new_classifier, new_purifier, tmp_path) -> str:
    """A tiny defended model's file."""
    path = tmp_path / "weights.safetensors"
    save(Defended(new_classifier(), new_purifier(sigma=0.3), draws=2), path)
    return str(path)


def test_eot_gradients_are_the_same(weights, capsys) -> None:
    tiny = ["--batch", "3", "--draws", "4", "--steps", "1", "--size", "10"]
    eot = script("eot")
    eot.peak = lambda way, options: 1.0
    found = eot.main(["--weights", weights, *tiny])
    assert set(found) == {"shared", "loop", "packaged"}
    assert all(row["difference"] < 1e-5 for row in found.values())
    assert all(row["seconds"] > 0 for row in found.values())
    assert "packaged" in capsys.readouterr().out


def test_eot_other_draws_give_another_gradient(weights) -> None:
    """So that the agreement above says something."""
    eot = script("eot")
    defended = eot.model_of(weights)
    x = eot.seeding.uniform((3, 3, 10, 10), eot.seeding.generator(0, "images"))
    loop = eot.WAYS["loop"]
    eot.WAYS["loop"] = lambda model, x, y, source, draws: loop(model, x, y, source, draws - 1)
    apart = eot.difference(defended, x, x.new_zeros(3).long(), 4, 0)
    assert apart["loop"] > 1e-4
    assert apart["packaged"] < 1e-5


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux")
def test_eot_peak_memory_is_measured(weights) -> None:
    """The shared way holds the graphs of all draws at once: more than their noise alone."""
    eot = script("eot")
    parser_options = {"weights": weights, "batch": 16, "draws": 16, "size": 32, "seed": 0}
    options = eot.argparse.Namespace(**parser_options)
    noise = 16 * 16 * 8 * 8 * 8 * 4 / 2**20
    assert noise < eot.peak("shared", options) < 1000 * noise


@pytest.mark.parametrize("sigma", [1e-6, 1.0])
def test_null_on_images_that_the_model_knows(
    new_classifier, new_purifier, new_images, tmp_path, monkeypatch, capsys, sigma
) -> None:
    """Without noise all three agree; with noise the packaged ensemble reports less."""
    images = 160
    quick = SUITES["quick"]("linf")
    small = replace(
        quick,
        opening=(Entry("single", PGD(2)),),
        closing=(),
        probes=Probes(images=2, steps=(1, 2), draws=2),
    )
    model = Defended(new_classifier(), new_purifier("fixed", sigma=sigma), draws=2).eval()
    pixels = (255 * new_images(images, 12, 12)).to(torch.uint8)
    with torch.no_grad():
        model.classifier.head.bias -= model(pixels.float() / 255, draws=20).mean(0)
        labels = model(pixels.float() / 255, draws=50).argmax(1)
    data = Images.of(pixels, labels, list("abcd"), "toy", "test")
    monkeypatch.setitem(SUITES, "quick", lambda norm: small)
    monkeypatch.setattr(alp, "load_data", lambda name, split: data, raising=False)
    save(model, tmp_path / "weights.safetensors")
    tiny = [
        "--images",
        f"{images}",
        "--rand-steps",
        "1",
        "--rand-eot",
        "2",
        "--rand-draws",
        "1",
        "2",
    ]
    found = script("null").main(["--weights", str(tmp_path / "weights.safetensors"), *tiny])
    rand = [found["rand, 1 draws an answer"], found["rand, 2 draws an answer"]]
    if sigma < 1:
        assert [found["clean"], found["alp"], *rand] == [1.0] * 4
    else:
        # Two accuracies on the same images and independent draws: four standard deviations at most.
        assert abs(found["alp"] - found["clean"]) < 4 * (2 * 0.25 / images) ** 0.5
        assert max(rand) < found["alp"]
    assert len(capsys.readouterr().out.splitlines()) == 4


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux")
def test_purify_counts_every_picture_and_its_memory(tmp_path, new_purifier, capsys) -> None:
    save(new_purifier(), tmp_path / "purifier.safetensors")
    tiny = ["--pictures", "40", "--side", "8", "--rounds", "1", "--each", "5"]
    found = script("purify").main(["--purifier", str(tmp_path / "purifier.safetensors"), *tiny])
    assert set(found["memory"]) == set(range(2, 41, 2))
    assert all(value > 0 for value in found["memory"].values())
    assert {len(values) for values in found["speeds"].values()} == {1}
    assert found["ratio"] > 0
    assert "alp purify" in capsys.readouterr().out


def test_consensus_is_compared_with_all_draws(weights, new_images, monkeypatch, capsys) -> None:
    """On the draws that it would have seen: more of them, and the same decision more often, the
    smaller the error is."""
    consensus = script("consensus")
    pixels = (255 * new_images(20, 12, 12)).to(torch.uint8)
    data = Images.of(pixels, torch.arange(20) % 4, list("abcd"), "toy", "test")
    monkeypatch.setattr(alp, "load_data", lambda name, split: data, raising=False)
    monkeypatch.setattr(alp, "load", _deployed_with(12), raising=False)
    tiny = ["--images", "20", "--batch", "10", "--steps", "1", "--averaged", "1"]
    found = consensus.main(["--weights", weights, *tiny, "--errors", "0.001", "0.9"])
    for name in ("clean", "attacked"):
        careful, hasty = found[name, 0.001], found[name, 0.9]
        assert 4 <= hasty["draws"] <= careful["draws"] <= 12
        assert careful["same"] == 1
    assert len(capsys.readouterr().out.splitlines()) == 4


def _deployed_with(draws: int):
    """``alp.load``, with another number of draws."""

    def load(path):
        model = load_model(path)
        return Defended(model.classifier, model.purifier, draws).eval()

    return load


@pytest.fixture
def verdict(weights, new_images, tmp_path, monkeypatch) -> Path:
    """A verdict on the model of ``weights``, and the images that it is of."""
    monkeypatch.setitem(
        SUITES,
        "quick",
        lambda norm: Suite("quick", (Entry("single", PGD(1)),), (), 2, Probes(images=0)),
    )
    pixels = (255 * new_images(12, 12, 12)).to(torch.uint8)
    data = Images.of(pixels, torch.arange(12) % 4, list("abcd"), "toy", "test")
    monkeypatch.setattr(alp, "load_data", lambda name, split: data, raising=False)
    model = load_model(weights)
    about = About("toy", weights={"model": weights_digest(model)})
    record = alp.evaluate(model, data.take(10, 3), alp.Linf(0.5), seed=3, about=about)
    write(record, tmp_path / "toy")
    return tmp_path / "toy"


def test_autoattack_meets_the_images_of_the_verdict(
    weights, verdict, tmp_path, monkeypatch, capsys
) -> None:
    autoattack = script("autoattack")
    monkeypatch.setattr(autoattack, "ENSEMBLE", PGD(3))
    out = ["--out", str(tmp_path / "out"), "--bank", "2"]
    found = autoattack.main(["--weights", weights, "--verdict", str(verdict), *out])
    ours, theirs = read(verdict), read(tmp_path / "out" / "records" / "autoattack")
    assert theirs.header["data_digest"] == ours.header["data_digest"]
    assert theirs.header["threat"] == ours.header["threat"]
    assert theirs.header["entries"][0]["draws"] == 2
    assert found == (robust_share(ours).mean(), robust_share(theirs).mean())
    assert "alp minus autoattack" in capsys.readouterr().out


def test_autoattack_takes_a_bank_where_the_model_draws(new_classifier, new_purifier) -> None:
    reference, head = script("autoattack").reference, new_classifier()
    for random in (Defended(head, new_purifier(sigma=0.3)), InputNoise(head, 0.1)):
        entry = reference(random, 3).entries[0]
        assert (entry.level, entry.draws) == ("fixed", 3)
    assert reference(head, 3).entries[0].level == "single"


def test_autoattack_refuses_the_verdict_of_another_model(
    weights, verdict, tmp_path, new_classifier
) -> None:
    autoattack, other = script("autoattack"), tmp_path / "other.safetensors"
    save(new_classifier(), other)
    with pytest.raises(ConfigError, match="evaluate these weights"):
        autoattack.main(["--weights", str(other), "--verdict", str(verdict), "--out", weights])


def test_autoattack_refuses_other_images(weights, verdict, new_images, monkeypatch) -> None:
    pixels = (255 * new_images(12, 12, 12)).to(torch.uint8).flip(0)
    other = Images.of(pixels, torch.arange(12) % 4, list("abcd"), "toy", "test")
    monkeypatch.setattr(alp, "load_data", lambda name, split: other, raising=False)
    with pytest.raises(ConfigError, match="set ALP_DATA"):
        script("autoattack").main(
            ["--weights", weights, "--verdict", str(verdict), "--out", weights]
        )


def test_votes_are_counted_and_each_engine_is_compared_with_itself(
    new_classifier, new_images, tmp_path, monkeypatch, capsys
) -> None:
    pytest.importorskip("openvino")
    votes = script("votes")
    pixels = (255 * new_images(4, 8, 8)).to(torch.uint8)
    data = Images.of(pixels, torch.arange(4), list("abcd"), "toy", "test")
    monkeypatch.setattr(alp, "load_data", lambda name, split: data, raising=False)
    ranges = new_images(20, 8, 8).numpy()
    monkeypatch.setattr(votes, "calibration_images", lambda name, seed, count: ranges)
    save(new_classifier(), tmp_path / "plain.safetensors")
    tiny = ["--images", "4", "--budget", "400", "--rounds", "1"]
    before = torch.get_num_threads()
    try:
        found = votes.main(["--weights", str(tmp_path / "plain.safetensors"), *tiny])
    finally:
        torch.set_num_threads(before)
    assert tuple(found) == votes.WAYS
    for row in found.values():
        assert row["votes"] % 128 == 0
        assert 4 * 2 * 128 <= row["votes"] <= 4 * (512 + 128)
        assert row["ratio"] == pytest.approx(row["certify"] / row["bare"])
        assert 0 < row["ratio"] < 2
    assert found["eager float32"]["votes"] == found["openvino float32"]["votes"]
    assert len(capsys.readouterr().out.splitlines()) == len(votes.WAYS)


def test_soundness_counts_wrong_certificates(monkeypatch, capsys) -> None:
    soundness = script("soundness")
    tiny = ["--trials", "8", "--far", "1", "--budget", "512"]
    soundness.main(tiny)
    assert "0 wrong" in capsys.readouterr().out
    monkeypatch.setattr(soundness, "trial", lambda number, distance, *rest: (1, 1.001 * distance))
    with pytest.raises(SystemExit, match="the certificates are wrong"):
        soundness.main(tiny)


def test_the_changes_of_the_guard_benchmark_are_what_they_say() -> None:
    guard = script("guard")
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(guard.moved(x, 0.0, 0, 0), x)
    torch.testing.assert_close(guard.moved(x, 0.0, 3, 0)[..., 3:], x[..., :-3])
    torch.testing.assert_close(guard.moved(x, 0.0, 0, -3)[..., :-3, :], x[..., 3:, :])
    turned = guard.moved(x, 90.0, 0, 0)
    torch.testing.assert_close(turned, torch.rot90(x, 1, (2, 3)), atol=1e-5, rtol=0)
    flat = torch.full_like(x, 0.25)
    torch.testing.assert_close(guard.blurred(flat), flat)
    assert guard.blurred(x).std() < 0.7 * x.std()
    assert 0 < float((guard.jpeg(x) - x).abs().mean()) < 0.3


def test_the_guard_benchmark_counts_what_stands_every_change() -> None:
    """A classifier that looks at the upper left corner alone does not stand a shift."""
    guard = script("guard")

    class Corner(torch.nn.Module):
        def forward(self, x):
            return torch.stack([x[:, 0, 0, 0], 0.5 - 0 * x[:, 0, 0, 0]], 1)

    pixels = torch.zeros(4, 3, 16, 16, dtype=torch.uint8)
    pixels[:2] = 255
    images = Images.of(pixels, torch.tensor([0, 0, 1, 1]), ["light", "dark"], "toy", "test")
    same, shifted = torch.clone, lambda x: guard.moved(x, 0.0, 3, 3)
    assert guard.stands(Corner(), images, [same]).tolist() == [1, 1, 1, 1]
    assert guard.stands(Corner(), images, [same, shifted]).tolist() == [0, 0, 1, 1]


def test_executors_are_timed() -> None:
    found = script("cluster").measured("serial", [0.01] * 5, 1)
    assert found["workers"] == 1
    assert 0.05 <= found["wall"] < 5


def test_a_simulated_cluster_loses_to_chains_and_start_up() -> None:
    scaling = script("scaling")
    every, after, seconds = scaling.imagenet(1, 2000.0)
    total = sum(seconds.values())
    assert len({unit.batch for unit in every}) == 782
    one, many = (scaling.makespan(seconds, after, n, scaling.START) for n in (1, 512))
    assert one == pytest.approx(total + scaling.START)
    assert total / 512 < many < total / 100
    assert scaling.spread_of({"a": [1.0, 1.0], "b": [2.0, 2.0]}) == 0


def test_the_error_of_a_chain_is_that_of_all_images(new_chain, new_images) -> None:
    quantisation, chain = script("quantisation"), new_chain()
    x = new_images(4, 8, 8)
    other = quantise(chain, new_images(32, 8, 8), 4, 4, "minmax").inner
    one = quantisation.followed(chain, other, x, 1)
    assert one["difference"] == one["fresh"]
    assert one["amplification"] == pytest.approx(1)
    each, _ = quantisation.growth(chain, other, x, 4)
    four = quantisation.followed(chain, other, x, 4)
    assert four["difference"] == pytest.approx(each.square().mean(1).sqrt().tolist())
    assert quantisation.followed(chain, chain, x, 4)["amplification"] == 1


def test_quantised_models_are_compared_with_their_float_one(
    new_chain, new_images, tmp_path, monkeypatch, capsys
) -> None:
    quantisation, chain = script("quantisation"), new_chain()
    monkeypatch.setattr(quantisation, "LENGTHS", (1, 2, 170))
    small = Suite("quick", (Entry("single", PGD(1)),), (), 1, Probes(images=0))
    monkeypatch.setitem(SUITES, "quick", lambda norm: small)
    pixels = (255 * new_images(8, 8, 8)).to(torch.uint8)
    data = Images.of(pixels, torch.arange(8) % 4, list("abcd"), "toy", "test")
    monkeypatch.setattr(alp, "load_data", lambda name, split: data, raising=False)
    save(chain, tmp_path / "float.safetensors")
    paths = []
    for bits in (2, 8):
        made = quantise(chain, new_images(32, 8, 8), bits, bits, "minmax")
        paths.append(str(tmp_path / f"{bits}.safetensors"))
        save(made, paths[-1])
    line = ["--float", str(tmp_path / "float.safetensors"), "--quantised", *paths]
    line += ["--images", "8"]
    found = quantisation.main([*line, "--attack", "6", "--out", str(tmp_path / "out")])
    assert json.loads((tmp_path / "out" / "quantisation.json").read_text()) == found
    plain, two, eight = found["models"].values()
    assert plain["difference"] == 0
    assert 0 < eight["difference"] < two["difference"]
    assert abs(eight["psnr"] - plain["psnr"]) < 0.5
    assert [each["steps"] for each in two["chains"]] == [1, 2]
    assert two["verdict"]["low"] <= two["verdict"]["difference"] <= two["verdict"]["high"]
    assert plain["verdict"]["difference"] == 0
    assert read(tmp_path / "out" / "records" / "float").header["images"] == 6
    assert "amplification" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="is not quantised"):
        quantisation.main([*line[:2], "--quantised", line[1], "--out", str(tmp_path / "o")])


def test_denoising_is_measured_beside_the_noised_image(new_images, tmp_path, monkeypatch) -> None:
    """A new model predicts no noise: the image comes out as it went in."""
    denoising = script("denoising")
    with initialising(0, "diffusion"):
        save(Diffusion(DiffusionConfig(width=2, horizon=100)).eval(), tmp_path / "w.safetensors")
    pixels = (255 * new_images(6, 8, 8)).to(torch.uint8)
    data = Images.of(pixels, torch.arange(6) % 3, list("abc"), "toy", "validation")
    monkeypatch.setattr(alp, "load_data", lambda name, split: data, raising=False)
    found = denoising.main([str(tmp_path / "w.safetensors"), "--images", "6"])
    assert list(found) == [10, 25, 50, 75, 100]
    assert all(before == pytest.approx(after) for before, after in found.values())
    levels = [before for before, _ in found.values()]
    assert levels == sorted(levels, reverse=True)


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_no_distance_grows_in_a_layer_of_the_latent_noise_benchmark(share: float) -> None:
    """The largest singular value of its Jacobian, which a smaller bound would let grow."""
    with initialising(0, "layer"):
        layer = script("latent_noise").LipschitzLayer(12).double()
    with torch.no_grad():
        layer.kernel += 0.3  # all products are positive: the bound is tight
        layer.bias.fill_(9.0)
        layer.scale.copy_(torch.linspace(-1, 1, len(layer.scale)))
    bound = layer.bound().detach()
    layer.bound = lambda: share * bound
    x = torch.zeros(1, 12, 5, 5, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(layer, x).view(x.numel(), x.numel())
    largest = float(torch.linalg.matrix_norm(jacobian, 2))
    assert (largest <= 1) is (share == 1)


def test_the_encoder_of_the_latent_noise_benchmark_is_the_identity_without_layers() -> None:
    latent = script("latent_noise")
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(latent.LipschitzEncoder(0)(x), x)
    with initialising(0, "encoder"):
        encoder = latent.LipschitzEncoder(2)
    out = encoder(x).detach()
    assert out.shape == x.shape
    assert 0 <= float(out.min()) <= float(out.max()) <= 1
    assert not torch.allclose(out, x)


def test_an_image_is_left_open_at_the_radii_that_are_neither_certified_nor_refuted() -> None:
    anytime = script("anytime")
    columns = {
        "radius": np.array([0.6, np.nan, 0.25, 0.0, np.nan]),
        "refuted": np.array([np.inf, 0.0, np.inf, 0.5, np.inf]),
    }
    assert anytime.RADII == (0.0, 0.25, 0.5)
    assert anytime.left_open(columns).T.tolist() == [
        [False, False, False],
        [False, False, False],
        [False, False, True],
        [False, True, False],
        [True, True, True],
    ]


def test_images_left_open_get_the_votes_of_the_fixed_test(new_classifier, tmp_path, capsys) -> None:
    classifier = new_classifier(classes=10)
    images = alp.load_data("shapes", "test").take(12)
    noise = 0.5 * normal((20, *images.images.shape), generator(0, "noise"))
    with torch.no_grad():  # as many votes for each class: some images stay open
        x = images.batch(torch.arange(12))[0]
        classifier.head.bias -= classify(classifier, (x + noise).flatten(0, 1)).mean(0)
    path = tmp_path / "weights.safetensors"
    save(alp.Smoothed(classifier, 0.5), path)
    data = ["--data", "shapes", "--images", "12"]
    plan = ["--budget", "512", "--fixed", "1024", "--backend", "eager", "--precision", "float32"]
    out = tmp_path / "out"
    script("anytime").main(["--weights", str(path), *data, *plan, "--out", str(out)])
    told = capsys.readouterr().out
    columns = read(out / "records" / "anytime").columns
    rows = script("anytime").left_open(columns).any(0)
    assert 0 < rows.sum() < 12
    assert f"{rows.sum()} of 12 images left open" in told
    whole = alp.certify(alp.load(str(path)), images, budget=1024, method="fixed")
    kept = read(out / "records" / "fixed").columns
    assert np.array_equal(kept["radius"], whole.columns["radius"][rows], equal_nan=True)
    right = whole.columns["selected"] == whole.columns["label"]
    for radius in (0.0, 0.25, 0.5):
        shares = re.search(rf"radius {radius:g}: anytime (\S+) %, fixed (\S+) %", told)
        assert shares is not None
        early, fixed = (float(each) / 100 for each in shares.groups())
        assert early <= fixed
        assert fixed >= float((right & (whole.columns["radius"] >= radius)).mean()) - 1e-3


def test_attackers_who_only_ask_are_chosen_by_name(
    new_classifier, new_purifier, tmp_path, capsys
) -> None:
    queries, weights = script("queries"), tmp_path / "weights.safetensors"
    save(Defended(new_classifier(classes=10), new_purifier(), draws=1), weights)
    few = ["--weights", str(weights), "--data", "shapes", "--images", "4", "--queries", "12"]
    place = ["--answers", "2", "--sigmas", "0", "0.5", "--out", str(tmp_path / "asked")]
    found = queries.main([*few, *place, "--attackers", "square"])
    assert [each.rpartition("-")[2] for each in found] == ["0", "0.5"]
    without, noisy = found.values()
    assert without["sigma"] == 0
    assert noisy["sigma"] == 0.5
    assert set(without["attackers"]["square"]) == {"1"}  # nothing to average
    assert set(noisy["attackers"]["square"]) == {"2"}
    assert "12 queries" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no attacker 'circle'; choose among: square, rays"):
        queries.main([*few, *place, "--attackers", "circle"])


def test_gradients_of_shorter_chains_are_compared(new_classifier, tmp_path, capsys) -> None:
    """The deployed chain's gradient on its own noise is itself, on other noise it is not."""
    chain = script("chain")
    with initialising(0, "diffusion"):
        diffusion = Diffusion(DiffusionConfig(width=8))
    path = tmp_path / "weights.safetensors"
    save(
        assemble(
            "diffpure",
            new_classifier(classes=10),
            diffusion,
            {"time": 4, "steps": 4, "gradient_steps": 2},
        ),
        path,
    )
    few = ["--weights", str(path), "--data", "shapes", "--images", "3", "--draws", "2"]
    found = chain.main([*few, "--steps", "2"])
    assert set(found) == {"4 steps, other noise", "2 steps"}
    assert all(low <= mean <= high for mean, low, high in found.values())
    assert "3 of 3 images" in capsys.readouterr().out
    model = load_model(path)
    x = torch.rand(2, 3, 8, 8)
    one, same, other = (
        chain.gradient(model, x, torch.tensor([0, 1]), steps, 2, generator(0, "noise"))
        for steps in (4, 4, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_compiled_network_of_a_chain_is_its_own(
    new_classifier, new_images, monkeypatch, capsys
) -> None:
    """In float32 to rounding, in int8 nearly; what it is told of the time matters."""
    pytest.importorskip("openvino")
    pytest.importorskip("onnxruntime")
    int8 = script("int8")
    path = Path("cifar10-lite/diffusion")
    few = {"time": 100, "steps": 4, "gradient_steps": 1}
    chain = assemble("diffpure", new_classifier(), load_kind(path, Diffusion), few)
    x = new_images(32, 32, 32)
    versions = int8.versions_of(chain.eval(), x)
    plain = versions["eager float32"]
    networks = {name: each.diffusion.network for name, each in versions.items()}
    times = torch.tensor([25, 100])
    with torch.inference_mode():
        z = chain.diffusion.noised(x[:2], times, normal(x[:2].shape, generator(0, "noise")))
        expected = plain.diffusion.network(z, times)
        for backend in int8.COMPILED:
            network = networks[f"{backend} float32"]
            assert torch.allclose(network(z, times), expected, atol=1e-4)
            assert not torch.allclose(network(z, times.flip(0)), expected, atol=1e-2)
            apart = float((networks[f"{backend} int8"](z, times) - expected).abs().mean())
            assert 1e-4 < apart < 0.2 * float(expected.abs().mean())
    pixels = (255 * x).to(torch.uint8)
    data = Images.of(pixels, torch.arange(32) % 3, list("abc"), "toy", "train")
    monkeypatch.setattr(alp, "load_data", lambda name, split: data, raising=False)
    monkeypatch.setattr(int8, "load_kind", lambda path, kind: chain)
    found = int8.main(["--weights", "a file", "--images", "2", "--rounds", "1"])
    assert list(found) == list(versions)
    assert found["eager float32"]["difference"] == 0
    assert 0 < found["openvino float32"]["difference"] < 1e-4
    assert found["openvino int8"]["difference"] > found["openvino bfloat16"]["difference"]
    assert all(each["step"] > 0 and each["purified"] > 0 for each in found.values())
    assert "times as fast" in capsys.readouterr().out

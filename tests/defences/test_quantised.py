"""Quantisation against closed forms, learned rounding against nearest, gradients against float."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from alp.defences import Defended
from alp.defences.base import Defence
from alp.defences.checkpoint import half_kernels, load_model, save
from alp.defences.diffpure import DiffPure
from alp.defences.quantise import IMAGES, SAMPLES, STEPS, quantise
from alp.defences.quantised import Quantised, QuantisedLayer, networks_of
from alp.defences.quantisers import (
    activation_grid,
    code_range,
    codes_of,
    fake_quantised,
    weight_steps,
)
from alp.defences.reconstruction import blocks_of, reconstruct
from alp.defences.transforms import MedianSmoothing
from alp.errors import ConfigError, UnknownNameError
from alp.seeding import generator, normal, uniform

SIDE = 8


def source(seed: int = 0) -> torch.Generator:
    return generator(seed, "quantised")


def smooth(count: int) -> Tensor:
    """Images in [0,1] whose pixels are alike beside one another, as in pictures."""
    coarse = uniform((count, 3, 3, 3), generator(0, "pictures"))
    return nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear")


@pytest.fixture
def defended(new_classifier, new_purifier) -> Defended:
    return Defended(new_classifier(), new_purifier(sigma=0.3), 2).eval()


@pytest.fixture
def chain(new_chain) -> DiffPure:
    return new_chain(width=4)


def grid_of(values: Tensor, bits: int, *, search: bool = False) -> tuple[Tensor, Tensor]:
    return activation_grid(values[None], bits, search=search)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_activations_lie_on_a_grid_within_half_a_step(bits: int) -> None:
    x = 3 * normal((20_000,), source()) + 1
    step, zero = grid_of(x, bits)
    levels = fake_quantised(x, step, zero, bits)
    assert 2 ** (bits - 1) < len(levels.unique()) <= 2**bits
    numbers = levels / step + zero
    assert torch.allclose(numbers, numbers.round(), atol=1e-3)
    assert float(numbers.min()) >= 0
    assert float(numbers.max()) <= 2**bits - 1 + 1e-3
    assert (levels - x).abs().max() <= 0.5001 * step
    assert float(fake_quantised(torch.zeros(1), step, zero, bits)) == 0, "zero has a level"


def test_every_level_is_used_and_no_more() -> None:
    x = torch.linspace(-1, 2, 10_001)
    for bits in (2, 4, 8):
        step, zero = grid_of(x, bits)
        assert len(fake_quantised(x, step, zero, bits).unique()) == 2**bits


def test_fewer_bits_are_coarser_and_many_are_the_identity() -> None:
    x = normal((5_000,), source())
    errors = {}
    for bits in (4, 8, 20):
        step, zero = grid_of(x, bits)
        errors[bits] = float((fake_quantised(x, step, zero, bits) - x).abs().max())
    assert errors[4] == pytest.approx(errors[8] * 255 / 15, rel=0.1)
    assert errors[20] < 1e-5


def test_a_searched_grid_has_no_larger_error() -> None:
    x = torch.cat([normal((5_000,), source()), torch.tensor([25.0])])

    def error(search: bool) -> float:
        step, zero = grid_of(x, 4, search=search)
        return float((fake_quantised(x, step, zero, 4) - x).square().mean())

    assert error(True) < 0.7 * error(False)


def test_the_gradient_is_one_inside_the_range_and_zero_outside() -> None:
    step, zero = torch.tensor(0.5), torch.tensor(2.0)  # -1 to 0.5 with 2 bits
    x = torch.tensor([-3.0, -1.1, -0.9, 0.1, 0.4, 0.6, 9.0]).requires_grad_()
    levels = fake_quantised(x, step, zero, 2)
    assert torch.equal(levels, torch.tensor([-1.0, -1.0, -1.0, 0.0, 0.5, 0.5, 0.5]))
    (gradient,) = torch.autograd.grad(levels.sum(), x)
    assert torch.equal(gradient, torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0]))


@pytest.mark.parametrize("search", [False, True])
def test_weights_of_a_channel_have_a_step_of_their_own(search: bool) -> None:
    """Channels that lie on grids of different steps are kept exactly."""
    codes = torch.randint(-7, 8, (3, 1, 50), generator=source()).float()
    codes[:, :, 0] = 7
    steps = torch.tensor([0.01, 1.0, 30.0]).view(3, 1)
    weight = codes * steps[..., None]
    found = weight_steps(weight, 4, search=search)
    assert torch.allclose(found, steps)
    assert torch.equal(codes_of(weight, found, 4), codes)
    noisy = weight + 0.3 * steps[..., None]
    found = weight_steps(noisy, 4, search=False)
    error = (codes_of(noisy, found, 4) * found[..., None] - noisy).abs()
    assert (error <= 0.5001 * found[..., None]).all()


def test_a_layer_of_zeros_stays_zero() -> None:
    layer = nn.Conv2d(2, 3, 3)
    nn.init.zeros_(layer.weight)
    made = QuantisedLayer(layer, 4, 8)
    made.hold(layer.weight)
    assert not made.weight.any()


def test_halves_of_a_concatenation_have_grids_of_their_own() -> None:
    """Inputs and weights whose halves differ a thousandfold are kept, both."""
    scales = torch.tensor([1.0, 1.0, 1000.0, 1000.0]).view(1, 4, 1, 1)
    x = scales * uniform((4, 4, 5, 5), source())
    layer = nn.Conv2d(4, 2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(normal((2, 4, 1, 1), source()) / scales)
    errors = []
    for parts in (1, 2):
        made = QuantisedLayer(layer, 8, 8, parts)
        made.hold(layer.weight)
        values = x.unflatten(1, (parts, -1)).transpose(0, 1).flatten(1)
        made.step, made.zero = activation_grid(values, 8, search=False)
        with torch.no_grad():
            errors.append(float((made(x) - layer(x)).abs().max() / layer(x).abs().max()))
    assert errors[1] < 0.02 < 0.1 < errors[0]


def held(defence: Defence) -> Quantised:
    """Quantised with nearest rounding, and grids of the inputs that are wide enough for all."""
    made = Quantised(defence, 4, 8).eval()
    for part, network in networks_of(made.inner).items():
        for name, layer in network.named_modules():
            if isinstance(layer, QuantisedLayer):
                layer.hold(networks_of(defence)[part].get_parameter(f"{name}.weight"))
                layer.step.fill_(0.05)
                layer.zero.fill_(128.0)
    return made


def quantised_codes(model: Quantised) -> list[Tensor]:
    return [each.codes for each in model.modules() if isinstance(each, QuantisedLayer)]


@pytest.mark.slow
@pytest.mark.parametrize("weights", [4, 8])
def test_codes_fit_their_bits(weights: int, defended) -> None:
    for method in ("reconstructed", "minmax"):
        made = quantise(defended, smooth(32), weights, 8, method, steps=1)
        low, high = code_range(weights)
        found = quantised_codes(made)
        assert len(found) == 12
        assert all(codes.dtype == torch.int8 for codes in found)
        assert min(int(codes.min()) for codes in found) >= low
        assert max(int(codes.max()) for codes in found) <= high


def purified_error(defence: Defence, made: Quantised) -> float:
    x = smooth(16)
    with torch.no_grad():
        return float((made.purify(x, source()) - defence.purify(x, source())).square().mean())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["defended", "chain"])
def test_fewer_bits_are_farther_from_the_float_defence(name: str, request) -> None:
    defence = request.getfixturevalue(name)
    eight, four = (
        purified_error(defence, quantise(defence, smooth(64), bits, bits, "minmax"))
        for bits in (8, 4)
    )
    assert 0 < 20 * eight < four


@pytest.mark.slow
def test_reconstruction_is_nearer_than_the_plain_way(defended) -> None:
    learned, plain = (
        purified_error(defended, quantise(defended, smooth(256), 4, 8, method, steps=60))
        for method in ("reconstructed", "minmax")
    )
    assert learned < 0.9 * plain, learned / plain


@pytest.mark.slow
@pytest.mark.parametrize("name", ["defended", "chain"])
def test_learned_rounding_is_never_worse_on_its_own_inputs(name: str, request) -> None:
    defence = request.getfixturevalue(name)
    made = held(defence)
    gains = []
    for part, network in networks_of(defence).items():
        after = networks_of(made.inner)[part]
        inputs = {
            "encoder": (smooth(32),),
            "decoder": (normal((32, 8, 2, 2), source()),),
            "network": (2 * smooth(32) - 1, torch.arange(1, 33)),
        }[part]
        for block in blocks_of(after):
            codes = [each.clone() for each in quantised_codes(made)]
            start, end = reconstruct(network, after, block, [inputs], source(), 25)
            assert end <= start
            changed = any(
                not torch.equal(one, other)
                for one, other in zip(codes, quantised_codes(made), strict=True)
            )
            assert changed == (end < start), "and the better one is what stays"
            gains.append(end / start)
    assert min(gains) < 0.9


def test_the_gradient_of_a_layer_is_the_float_one_inside_the_range() -> None:
    """Of a convolution with the rounded weights; outside the range it is zero."""
    layer = nn.Conv2d(2, 3, 3, 2, 1)
    made = QuantisedLayer(layer, 4, 4)
    made.hold(layer.weight)
    made.step.fill_(0.1)
    made.zero.fill_(5.0)  # -0.5 to 1
    x = (2 * normal((2, 2, 6, 6), source())).requires_grad_()
    weight = normal((2, 3, 3, 3), source(1))
    plain = nn.functional.conv2d(x, made.weight, made.bias, 2, 1)
    (ours,), (theirs,) = (torch.autograd.grad((out * weight).sum(), x) for out in (made(x), plain))
    inside = (x >= -0.5) & (x <= 1)
    assert 0 < int(inside.sum()) < x.numel()
    assert torch.equal(ours, theirs * inside)


@pytest.mark.slow
def test_the_attackers_gradient_is_near_that_of_the_float_defence(defended, chain) -> None:
    for defence in (defended, chain):
        made = quantise(defence, smooth(32), 8, 8, "minmax")
        assert "straight-through" in made.surrogate
        x = smooth(4)

        def gradient(model: Defence, x: Tensor = x) -> Tensor:
            point = x.clone().requires_grad_()
            logits = model.logits(point, source(), 1)
            return torch.autograd.grad(logits[..., 0].sum(), point)[0].flatten()

        ours, theirs = gradient(made), gradient(defence)
        assert torch.cosine_similarity(ours, theirs, 0) > 0.95
        assert not torch.equal(ours, theirs)


def test_a_shorter_chain_of_attackers_is_still_declared(chain) -> None:
    short = DiffPure(chain.classifier, chain.diffusion, steps=4, gradient_steps=2)
    made = quantise(short, smooth(32), 8, 8, "minmax")
    assert "2 steps in place of 4" in made.surrogate
    assert "straight-through" in made.surrogate


def test_the_float_defence_is_left_alone(defended) -> None:
    before = {name: value.clone() for name, value in defended.state_dict().items()}
    made = quantise(defended, smooth(32), 4, 8, steps=2)
    after = defended.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert made.inner.classifier is defended.classifier
    assert all(each.grad is None for each in made.parameters())
    assert made.draws == defended.draws
    assert made.sigma == defended.sigma


def test_its_description_is_the_one_that_files_hold(defended) -> None:
    """Files of today have to be read tomorrow; what nobody sets stays what it is."""
    made = Quantised(defended)
    assert made.describe() == {
        "kind": "quantised",
        "settings": {"weights": 8, "activations": 8, "method": "reconstructed"},
        "model": defended.describe(),
    }
    own = {name for name in made.state_dict() if name.startswith("inner.purifier.decoder.mix.")}
    kinds = ("bias", "codes", "steps", "step", "zero")
    assert own == {f"inner.purifier.decoder.mix.{kind}" for kind in kinds}
    assert (IMAGES, SAMPLES, STEPS) == (32, 256, 300)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(defended, tmp_path) -> None:
    for name in ("one", "two"):
        save(quantise(defended, smooth(32), 4, 8, steps=3, seed=5), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    back = load_model(tmp_path / "one")
    assert isinstance(back, Quantised)
    assert back.settings == {"weights": 4, "activations": 8, "method": "reconstructed"}
    save(back, tmp_path / "three")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "three").read_bytes()


def test_a_quantised_chain_comes_back_with_its_halves(chain, tmp_path) -> None:
    made = held(chain)
    save(made, tmp_path / "weights")
    back = load_model(tmp_path / "weights")
    parts = [each.parts for each in back.modules() if isinstance(each, QuantisedLayer)]
    assert parts.count(2) == 4
    x = smooth(2)
    assert torch.allclose(back(x, source()), made(x, source()), atol=1e-5)


def test_codes_stay_whole_numbers_in_a_small_file(defended) -> None:
    state = quantise(defended, smooth(32), 8, 8, "minmax").state_dict()
    kept = half_kernels(state)
    assert {value.dtype for name, value in kept.items() if name.endswith("codes")} == {torch.int8}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": 1}, "bits of weights is 1"),
        ({"weights": 9}, "bits of weights is 9"),
        ({"activations": 4.5}, "bits of activations is 4.5"),
        ({"steps": 0}, "steps of quantisation is 0"),
    ],
)
def test_impossible_settings_are_refused(change, message, defended) -> None:
    with pytest.raises(ConfigError, match=message):
        quantise(defended, smooth(2), **change)


def test_what_cannot_be_quantised_is_refused(defended, new_classifier) -> None:
    with pytest.raises(ConfigError, match="nothing to quantise"):
        quantise(MedianSmoothing(new_classifier()), smooth(2))
    with pytest.raises(UnknownNameError, match=r"method of quantisation 'best'.*minmax"):
        quantise(defended, smooth(2), method="best")

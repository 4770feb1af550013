"""Targets that change what they are given, themselves, or answer something else than logits."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import alp
from alp import seeding
from alp.attacks import APGD, FGSM, PGD, Linf, Square
from alp.data.images import Images
from alp.defences.adapters import as_defence
from alp.defences.base import require_images
from alp.defences.checkpoint import weights_digest
from alp.errors import ConfigError
from alp.evaluation import PaperProtocol, evaluate

SIDE, CLASSES = 12, 3
THREAT = Linf(0.02)
ONCE = PaperProtocol(PGD(2), ("single",))
"""The shortest evaluation."""


def small(seed: int = 0) -> nn.Sequential:
    """A network with batch norm and dropout, in eval mode."""
    with seeding.lent(seed, torch.device("cpu")):
        layers = [nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5)]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * 36, CLASSES)).eval()


class InPlace(nn.Module):
    """Normalises the images where they lie."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small()

    def forward(self, x):
        x.sub_(0.5).div_(0.25)
        return self.net(x)


class Counting(nn.Module):
    """Counts its calls in a buffer, in eval mode too."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.net(x)


@pytest.fixture
def pictures() -> Images:
    pixels = 255 * seeding.uniform((6, 3, SIDE, SIDE), seeding.for_data(0, "test-hostile"))
    return Images.from_arrays(pixels.to(torch.uint8), torch.arange(6) % CLASSES, ["a", "b", "c"])


@pytest.mark.parametrize("attack", [FGSM(), PGD(2), APGD(3), Square(8)])
def test_a_target_that_works_in_place_changes_nobodys_images(attack, pictures) -> None:
    x, y = pictures.batch(torch.arange(6))
    before = x.clone()
    adversarial = attack(InPlace().eval(), x, y, THREAT, seeding.generator(0, "attack"))
    assert torch.equal(x, before)
    assert adversarial.amin() >= 0
    assert adversarial.amax() <= 1
    assert THREAT.distance(adversarial, x).max() <= THREAT.eps * 1.001


def test_an_evaluation_with_a_target_that_works_in_place(pictures) -> None:
    target = InPlace().eval()
    pixels, digest = pictures.images.clone(), weights_digest(target)
    evaluate(target, pictures, THREAT, ONCE)
    assert torch.equal(pictures.images, pixels)
    assert weights_digest(target) == digest


def hidden_in_a_wrapper() -> nn.Module:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = small()

        def forward(self, x):
            return self.net(x)

    wrapped = Wrapped().eval()
    wrapped.net[1].train()
    return wrapped


def training(part: int) -> nn.Module:
    net = small()
    net[part].train()
    return net


class Holder:
    """An object whose method is the target."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net

    def answer(self, x):
        return self.net(x)

    def __call__(self, x):
        return self.net(x)


def closure(net: nn.Module):
    return lambda x: net(x)


@pytest.mark.parametrize("part", [1, 3], ids=["batch norm", "dropout"])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda net: net,
        closure,
        lambda net: closure(closure(net)),
        lambda net: partial(lambda model, x: model(x), net),
        lambda net: Holder(net),
        lambda net: Holder(net).answer,
    ],
    ids=["module", "lambda", "lambda of lambda", "partial", "object", "method"],
)
def test_training_mode_anywhere_is_refused(wrap, part, pictures) -> None:
    net = training(part)
    digest = weights_digest(net)
    with pytest.raises(ConfigError, match=r"training mode.*\.eval\(\)"):
        evaluate(wrap(net), pictures, THREAT, ONCE)
    assert weights_digest(net) == digest


def test_training_mode_below_a_wrapper_is_named_by_its_part(pictures) -> None:
    with pytest.raises(ConfigError, match=r"net\.1 \(BatchNorm2d\)"):
        evaluate(hidden_in_a_wrapper(), pictures, THREAT, ONCE)


def test_a_container_in_training_mode_of_parts_in_eval_mode_is_taken(pictures) -> None:
    net = small()
    net.training = False
    shell = nn.Sequential(net)
    assert shell.training
    evaluate(shell, pictures, THREAT, ONCE)


@pytest.mark.parametrize("attack", [FGSM(), PGD(2), Square(4)])
def test_a_direct_attack_on_a_model_in_training_mode_leaves_it_as_it_was(attack, pictures) -> None:
    net = training(1)
    digest = weights_digest(net)
    attack(net, *pictures.batch(torch.arange(6)), THREAT, seeding.generator(0, "attack"))
    assert weights_digest(net) == digest


def test_a_target_that_changes_itself_has_no_record(pictures) -> None:
    with pytest.raises(ConfigError, match="Counting changed its own weights"):
        evaluate(Counting().eval(), pictures, THREAT, ONCE)


def answers(kind):
    net = small()
    return {
        "mapping": lambda x: {"logits": net(x)},
        "object": lambda x: SimpleNamespace(logits=net(x)),
        "float64": lambda x: net(x).double(),
        "bfloat16": lambda x: net(x).bfloat16(),
    }[kind]


@pytest.mark.parametrize("kind", ["mapping", "object", "float64", "bfloat16"])
def test_logits_in_other_clothes_are_logits(kind, pictures) -> None:
    plain = evaluate(small(), pictures, THREAT, ONCE)
    other = evaluate(answers(kind), pictures, THREAT, ONCE)
    if kind == "bfloat16":
        assert len(other.columns["index"]) == len(pictures)
    else:
        for name in plain.columns:
            if "psnr" not in name and "ssim" not in name:
                assert (plain.columns[name] == other.columns[name]).all(), name


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x, out: (out, out), "answers a tuple"),
        (lambda x, out: {"scores": out}, "answers a dict"),
        (lambda x, out: None, "answers a NoneType"),
        (lambda x, out: out[0], "answers shape"),
        (lambda x, out: out[:, :1], "answers shape"),
        (lambda x, out: out.argmax(1), "answers shape"),
        (lambda x, out: out.long(), "int64"),
        (lambda x, out: out * float("nan"), "not finite"),
        (lambda x, out: torch.cat([out, out], 1), "6 classes apart"),
    ],
)
def test_what_is_no_logits_is_named(answer, message, pictures) -> None:
    net = small()
    with pytest.raises(ConfigError, match=message):
        evaluate(lambda x: answer(x, net(x)), pictures, THREAT, ONCE)


@pytest.mark.parametrize("as_surrogate", [False, True])
def test_other_names_or_another_order_of_them_are_refused(as_surrogate, pictures) -> None:
    named = as_defence(small())
    named.classes = ("b", "a", "c")
    target, others = (small(), {"other": named}) if as_surrogate else (named, {})
    with pytest.raises(ConfigError, match="same classes in another order"):
        evaluate(target, pictures, THREAT, ONCE, surrogates=others)
    named.classes = ("x", "y", "z")
    with pytest.raises(ConfigError, match=r"was trained on the classes \(x, y, z\)"):
        evaluate(target, pictures, THREAT, ONCE, surrogates=others)
    named.classes = pictures.classes
    assert len(evaluate(target, pictures, THREAT, ONCE, surrogates=others)) == len(pictures)


def test_probabilities_are_told_and_attacked_as_logits_where_asked_to(pictures) -> None:
    net = small()

    def softmax(x):
        return net(x).softmax(1)

    told = evaluate(softmax, pictures, THREAT, ONCE)
    assert any("outputs='probabilities'" in words for words in told.header["warnings"])
    asked = evaluate(softmax, pictures, THREAT, ONCE, outputs="probabilities")
    assert not any("probabilities" in words for words in asked.header["warnings"])
    assert asked.header["outputs"] == "probabilities"
    logits = evaluate(net, pictures, THREAT, ONCE)
    for name in ("clean_prediction", "single_prediction"):
        assert (asked.columns[name] == logits.columns[name]).all()
    with pytest.raises(ConfigError, match="kind of output"):
        evaluate(softmax, pictures, THREAT, ONCE, outputs="odds")


def test_a_verdict_that_had_nothing_to_attack_passes_no_check(pictures) -> None:
    wrong = (pictures.labels + 1) % CLASSES

    def misses(x):
        right = nn.functional.one_hot(wrong[: len(x)], CLASSES).float()
        return right + 0 * x.mean((1, 2, 3))[:, None]

    record = evaluate(misses, pictures, THREAT, "quick", batch_size=6)
    (check,) = record.header["checks"]
    assert check["passed"] is False
    assert "nothing was attacked" in check["words"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x * 255, "255"),
        (lambda x: (x - 0.5) / 0.25, r"\[0,1\]"),
        (lambda x: x * float("nan"), "nan"),
        (lambda x: x.byte(), "uint8"),
        (lambda x: x[0], "shape"),
        (lambda x: x[:, :1], "shape"),
        (lambda x: x[:0], "shape"),
        (lambda x: x.permute(0, 2, 3, 1), "shape"),
    ],
)
def test_images_out_of_range_are_refused_by_what_answers(change, message, pictures) -> None:
    x = pictures.batch(torch.arange(6))[0]
    x[0, 0, 0, 0], x[0, 0, 0, 1] = 0, 1
    for model in (alp.load("cifar10-lite/adversarial"), alp.load("cifar10-lite")):
        with pytest.raises(ConfigError, match=message):
            model(change(x))
    require_images(x)


@given(
    st.sampled_from([torch.float16, torch.float32, torch.float64, torch.int64, torch.uint8]),
    st.lists(st.integers(0, 5), min_size=0, max_size=5),
    st.floats(-2, 2) | st.just(float("nan")) | st.just(float("inf")),
    st.booleans(),
)
@settings(deadline=None)
def test_any_tensor_is_taken_or_refused_in_words(dtype, shape, value, flip) -> None:
    x = torch.full(shape, 0.5).to(dtype)
    if x.numel() and dtype.is_floating_point:
        x.view(-1)[0] = value
    x = x.transpose(0, -1) if flip and x.ndim else x
    before = x.clone()
    if x.ndim == 4 and x.shape[1] == 3 and x.numel() and x.is_floating_point():
        inside = abs(value - 0.5) <= 0.5
        if inside or abs(value - 0.5) > 0.51:  # between these, rounding is allowed for
            with nullcontext() if inside else pytest.raises(ConfigError, match="give images in"):
                require_images(x)
    else:
        with pytest.raises(ConfigError, match="give"):
            require_images(x)
    assert torch.equal(x.nan_to_num(), before.nan_to_num())


class Dressed(nn.Module):
    """A classifier whose answer is changed by a function."""

    def __init__(self, dress) -> None:
        super().__init__()
        self.net, self.dress = small(), dress

    def forward(self, x):
        return self.dress(self.net(x))


@pytest.mark.parametrize(
    "dress", [lambda out: {"logits": out}, lambda out: SimpleNamespace(logits=out)]
)
def test_a_classifier_behind_a_defence_may_answer_in_other_clothes(dress) -> None:
    x = torch.full((2, 3, SIDE, SIDE), 0.5)
    plain, other = alp.Smoothed(small(), 0.25), alp.Smoothed(Dressed(dress).eval(), 0.25)
    assert torch.equal(
        plain(x, seeding.generator(0, "dressed")), other(x, seeding.generator(0, "dressed"))
    )
    purifier = alp.load("cifar10-lite/purifier")
    logits = [
        alp.defend(each, purifier, 2)(x, seeding.generator(0, "dressed"))
        for each in (small(), Dressed(dress).eval())
    ]
    assert torch.equal(*logits)


@pytest.mark.parametrize("dress", [lambda out: (out,), lambda out: None])
def test_a_classifier_behind_a_defence_that_answers_no_tensor_is_named(dress) -> None:
    defended = alp.defend(Dressed(dress).eval(), alp.load("cifar10-lite/purifier"), 2)
    with pytest.raises(ConfigError, match="answers a"):
        defended(torch.full((1, 3, SIDE, SIDE), 0.5))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda data: evaluate(small(), (1, 2), THREAT, ONCE), "the data is a tuple"),
        (lambda data: evaluate(small(), data, 8 / 255, ONCE), "the threat is 0.03"),
        (
            lambda data: evaluate(small(), data, THREAT, ONCE, surrogates=[small()]),
            "surrogates are a list",
        ),
    ],
)
def test_what_is_of_another_kind_is_named(call, message, pictures) -> None:
    with pytest.raises(ConfigError, match=message):
        call(pictures)

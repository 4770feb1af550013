"""MagNet: its layers, its detectors, and the attacker who knows them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch import Tensor, nn

from alp.attacks import APGD, LOSSES, Linf
from alp.data import Images
from alp.defences.classifier import ResNetLite
from alp.defences.magnet import TEMPERATURES, MagNet, divergence
from alp.errors import ConfigError
from alp.evaluation import Entry, Probes, Suite, evaluate
from alp.evaluation.tasks import Context, generate
from alp.records import conclude
from alp.seeding import generator, initialising, normal
from alp.training.magnet import choose_thresholds


@pytest.fixture
def magnet(new_classifier) -> MagNet:
    with initialising(0, "magnet"):
        return MagNet(new_classifier()).eval()


@pytest.fixture
def images(new_images) -> Images:
    pixels = (255 * new_images(40, 16, 16)).round().to(torch.uint8)
    return Images.of(pixels, torch.arange(40) % 4, "abcd", "toy", "validation")


def test_it_has_the_paper_s_three_layers(magnet) -> None:
    assert [type(each) for each in magnet.reformer] == 3 * [nn.Conv2d, nn.Sigmoid]
    image = magnet.purify(torch.zeros(1, 3, 8, 8), generator(0, "peer")).detach()
    assert image.shape == (1, 3, 8, 8)
    assert 0 < float(image.min()) <= float(image.max()) < 1


def test_the_divergence_is_scipy_s() -> None:
    one, other = 3 * normal((2, 6, 5), generator(0, "logits"))
    wanted = jensenshannon(one.softmax(1).numpy(), other.softmax(1).numpy(), axis=1) ** 2
    assert divergence(one, other).tolist() == pytest.approx(wanted.tolist(), rel=1e-4)


def test_the_scores_are_error_and_divergences(magnet, new_images) -> None:
    x = new_images(3, 16, 16)
    image = magnet.purify(x, generator(0, "peer"))
    scores = magnet.scores(x)
    assert torch.allclose(scores[:, 0], (x - image).abs().mean((1, 2, 3)))
    for column, temperature in enumerate(TEMPERATURES, 1):
        logits = (magnet.classifier(each) / temperature for each in (x, image))
        assert torch.allclose(scores[:, column], divergence(*logits))


def test_thresholds_let_all_but_the_drop_rate_pass(magnet, images) -> None:
    x = images.images.float() / 255
    assert not magnet.rejects(x).any(), "without thresholds nothing is rejected"
    choose_thresholds(magnet, images, 0.1)
    above = magnet.scores(x) > magnet.thresholds
    assert above.sum(0).tolist() == [4, 4, 4]
    assert torch.equal(magnet.rejects(x), above.any(1))


def test_the_alarm_is_raised_before_an_image_is_rejected(magnet, images) -> None:
    choose_thresholds(magnet, images, 0.2)
    x = images.images.float() / 255
    alarm = magnet.watched(x, generator(0, "peer"), 1)[0, :, -1]
    rejected = magnet.rejects(x)
    assert (alarm[rejected] > 0).all()
    assert (alarm == 0).any()
    assert not rejected[alarm == 0].any()


def test_the_loss_prefers_what_is_wrong_and_not_detected() -> None:
    y = torch.tensor([0])
    right, wrong = [5.0, 1.0, 0.0], [0.0, 5.0, 0.0]

    def value(logits: list[float], alarm: float) -> float:
        return float(LOSSES["evasion"](torch.tensor([[*logits, alarm]]), y))

    assert value(wrong, 0.0) > value(right, 0.0)
    assert value(wrong, 0.0) > value(wrong, 0.1)
    assert value(wrong, 0.0) == value([0.0, 9.0, 0.0], 0.0), "sure enough"
    assert value([9.0, 9.0, 0.0], 50.0) < value(right, 0.0), "the alarm is no class"


def test_a_rejected_image_is_right_attacked_and_wrong_clean(magnet, new_images) -> None:
    x, y = new_images(4, 16, 16), torch.arange(4) % 4
    context = Context(magnet, {}, Linf(0.03), 0)
    free = context.right(x, y, "a", 0, 2)
    assert torch.equal(free, context.right(x, y, "a", 0, 2, attacked=True))
    magnet.thresholds.fill_(0.0)
    assert context.right(x, y, "a", 0, 2).tolist() == 4 * [0]
    assert context.right(x, y, "a", 0, 2, attacked=True).tolist() == 4 * [2]


class Jumpy(ResNetLite):
    """Answers by the mean of the red channel, steeply."""

    def answer(self, x: Tensor) -> Tensor:
        red = 400 * (x[:, 0].mean((1, 2)) - 0.5)
        return torch.stack([red, -red, *2 * [torch.full_like(red, -99.0)]], 1)


class Identity(nn.Module):
    """Leaves the green channel of images out of their reconstruction."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x[:, :1], torch.full_like(x[:, 1:2], 0.5), x[:, 2:]], 1)


def test_who_knows_the_detectors_gets_past_them(new_classifier) -> None:
    """The classifier looks at red, the detector at green: an attack on both leaves green as it is;
    one that moves it everywhere is rejected."""
    magnet = MagNet(Jumpy(new_classifier().config)).eval()
    magnet.reformer = Identity().eval()
    pixels = torch.full((4, 3, 8, 8), 128, dtype=torch.uint8)
    pixels[:, 0] += 3
    data = Images.of(pixels, torch.zeros(4, dtype=torch.long), "abcd", "toy", "test")
    x, y = pixels / 255, torch.zeros(4, dtype=torch.long)
    magnet.thresholds[0] = 2 * magnet.scores(x)[0, 0]
    threat = Linf(8 / 255)
    aware, blind = APGD(30, loss="evasion"), APGD(30, loss="margin")
    found = {
        level: generate(magnet, level, x, y, threat, attack, seed=0, batch=0)
        for level, attack in {"detectors": aware, "single": blind}.items()
    }
    assert not magnet.rejects(found["detectors"]).any()
    assert (magnet(found["detectors"]).argmax(1) != y).all()
    entries = (Entry("single", blind), Entry("detectors", aware))
    suite = Suite("two", entries, (), 1, Probes(0))
    outcome = conclude(evaluate(magnet, data, threat, suite))
    assert outcome["levels"]["detectors"]["value"] == 0
    assert outcome["clean"]["value"] == 1
    only = replace(suite, opening=entries[:1])
    rejecting = float(magnet.rejects(found["single"]).float().mean())
    assert conclude(evaluate(magnet, data, threat, only))["worst"]["value"] == rejecting


def test_the_reformer_alone_rejects_nothing(magnet, new_images) -> None:
    alone = MagNet(magnet.classifier, detect=False).eval()
    alone.load_state_dict(magnet.state_dict())
    x = new_images(2, 16, 16)
    assert torch.equal(alone(x), magnet(x))
    assert "rejects" not in alone.capabilities
    for ask in (lambda: alone.rejects(x), lambda: alone.watched(x, generator(0, "peer"), 1)):
        with pytest.raises(ConfigError, match="has no 'rejects'"):
            ask()
    with pytest.raises(ConfigError, match="detect of MagNet is 1; give True or False"):
        MagNet(magnet.classifier, detect=1)


@pytest.mark.parametrize("channels", [0, 1.5, 10**9])
def test_impossible_channels_are_refused(channels) -> None:
    with pytest.raises(ConfigError, match="MagNet's number of channels"):
        MagNet(nn.Flatten(), channels)

"""Training for certificates: the loss against its definition, and where a training starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from alp.config import ClassifierConfig, to_dict
from alp.defences import ResNetLite
from alp.defences.checkpoint import save, weights_digest
from alp.defences.smoothed import Smoothed
from alp.errors import ConfigError
from alp.seeding import generator, initialising
from alp.training import AdversaryConfig, CertifiedStage
from alp.training.base import Start
from alp.training.certified import CertifiedTask, consistency
from alp.training.train import train

HEAD = ClassifierConfig(size="tiny", classes=4)


def test_consistency_is_the_divergence_from_the_mean_and_its_entropy() -> None:
    logits = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    each = logits.softmax(2)
    mean = each.mean(0)
    divergence = sum(F.kl_div(p.log(), mean, reduction="batchmean") for p in each) / 3
    entropy = torch.distributions.Categorical(mean).entropy().mean()
    torch.testing.assert_close(consistency(logits), (divergence, entropy))


def test_equal_copies_agree() -> None:
    logits = torch.randn(1, 5, 4, generator=torch.Generator().manual_seed(0)).expand(2, 5, 4)
    assert float(consistency(logits)[0]) == pytest.approx(0, abs=1e-6)


def test_the_loss_has_all_parts_at_their_weights() -> None:
    x, y = torch.rand(8, 3, 16, 16), torch.arange(8) % 4
    with initialising(0, "head"):
        head = ResNetLite(HEAD).eval()
    parts = []
    for weights in ((0.0, 0.0), (1000.0, 0.0), (0.0, 3.0)):
        stage = CertifiedStage(HEAD, consistency=weights[0], entropy=weights[1])
        parts.append(CertifiedTask(stage, head)(x, x, y, generator(0, "draw")))
    plain, drawn, sure = parts
    gained = [float((part["loss"] - plain["loss"]).detach()) for part in (drawn, sure)]
    wanted = [1000 * float(drawn["disagreement"].detach()), 3 * float(sure["entropy"].detach())]
    assert gained == pytest.approx(wanted, rel=1e-4)


def test_the_copies_are_noisy_by_sigma() -> None:
    seen = []

    class Seen(ResNetLite):
        def answer(self, x):
            seen.append(x)
            return super().answer(x)

    x = torch.zeros(4, 3, 32, 32)
    CertifiedTask(CertifiedStage(HEAD, sigma=0.5), Seen(HEAD))(
        x, x, torch.zeros(4, dtype=torch.long), generator(0, "draw")
    )
    assert seen[0].shape == (8, 3, 32, 32)
    assert float(seen[0].std()) == pytest.approx(0.5, rel=0.05)
    assert not torch.equal(seen[0][:4], seen[0][4:])


class Brightness(torch.nn.Module):
    """Two logits: the mean of an image, and 0. The best attack on class 0 darkens every pixel."""

    def answer(self, x):
        means = x.flatten(1).mean(1)
        return torch.stack([means, torch.zeros_like(means)], 1)


@pytest.mark.parametrize("method", ["nfgsm", "pgd"])
def test_the_adversary_darkens_what_is_known_by_its_brightness(method: str) -> None:
    adversary = AdversaryConfig(method, eps=0.1)
    task = CertifiedTask(CertifiedStage(HEAD, adversary=adversary), Brightness())
    x, y = torch.full((4, 3, 8, 8), 0.5), torch.zeros(4, dtype=torch.long)
    attacked = task.attack(x, y, generator(0, "draw"))
    # N-FGSM adds its step to a random start of up to twice eps and does not project it
    furthest = 0.1 if method == "pgd" else 0.3
    assert float((attacked - x).abs().max()) <= furthest + 1e-6
    torch.testing.assert_close(attacked.mean(), torch.tensor(0.4), atol=0.01, rtol=0)


def test_without_an_adversary_the_images_and_the_key_are_as_before() -> None:
    stage = CertifiedStage(HEAD)
    x = torch.rand(2, 3, 8, 8)
    assert CertifiedTask(stage, Brightness()).attack(x, torch.zeros(2), generator(0, "draw")) is x
    assert "adversary" not in to_dict(stage)
    assert "adversary" in to_dict(CertifiedStage(HEAD, adversary=AdversaryConfig("nfgsm")))


def test_trades_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"adversary.method is 'trades'.*'none', 'nfgsm' or"):
        CertifiedStage(HEAD, adversary=AdversaryConfig("trades"))


def test_a_training_starts_from_the_classifier_behind_votes(toy, tmp_path: Path) -> None:
    """So that votes under one noise become votes under another."""
    with initialising(0, "head"):
        head = ResNetLite(HEAD).eval()
    save(Smoothed(head, 0.25), tmp_path / "votes")
    start = Start(toy, classifier=tmp_path / "votes")
    assert weights_digest(start.classifier_of(HEAD)) == weights_digest(head)
    assert start.parents == {"classifier": weights_digest(head)}


def test_a_purifier_is_refused(toy, parents, engine, short, tmp_path: Path) -> None:
    stage = CertifiedStage(HEAD, optim=short())
    with pytest.raises(ConfigError, match="takes no weights of a purifier; leave purifier out"):
        train(stage, tmp_path, toy, engine=engine, purifier=parents["purifier"])

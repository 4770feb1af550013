"""Training for certificates: the loss against its definition, and where a training starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from alp.config import ClassifierConfig
from alp.defences import ResNetLite
from alp.errors import ConfigError
from alp.seeding import generator, initialising
from alp.training import CertifiedStage
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


def test_a_purifier_is_refused(toy, parents, engine, short, tmp_path: Path) -> None:
    stage = CertifiedStage(HEAD, optim=short())
    with pytest.raises(ConfigError, match="takes no weights of a purifier; leave purifier out"):
        train(stage, tmp_path, toy, engine=engine, purifier=parents["purifier"])

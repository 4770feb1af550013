"""What a budget buys: how long is trained, and on how many images is judged.

What the machine takes is measured first. The judging comes last and gets all that is left; before
each step what is still to come is planned again. The plan is kept, so that an interrupted
protection goes on with the same settings.

A heavy classifier gets fewer pictures, which makes intervals wider, and no attack weaker. Where
even few take too long, checks of attacks or certificates are left out, and the page says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from alp.defences.plan import BLOCK
from alp.protection.measure import Rates

TRAINED, CERTIFIED = 0.5, 0.08
"""Shares of the budget; exporting and timing take what they take, and judging gets the rest."""

ADAPTED = 0.2
"""Of the training's time, that of adapting the purifier to the pictures."""

EXPORTED, TIMED = 10.0, 20.0
"""Seconds that exporting and timing take of a small classifier."""

FORWARDS = 100
"""Draws, about, that timing takes of a classifier that is slow; exporting takes half as many."""

STEPS = 30
"""Training steps below which a batch is made smaller."""

BATCHES = (8, 64)
"""Smallest and largest batch of a training step."""

MOST_EPOCHS = 100.0
"""Passes over the pictures beyond which a training learns them by heart."""

LEAST_TRAINED = 0.25
"""Share of the budget that trainings get where all the rest takes longer than there is."""

LEAST, MOST = 2, 256
"""Images that are judged."""

LEAST_CERTIFIED, MOST_CERTIFIED = 2, 100
"""Images that are certified."""

LEAST_VOTES, MOST_VOTES = BLOCK, 8 * BLOCK
"""Votes for an image beside the block that selects its class: a block can prove the radius
``SIGMA``."""

FAR_VOTES = 4 * BLOCK
"""Votes from which twice the radius can be proved."""

SIGMA = 0.06
"""Noise of the certificates on the pixels, about that of the adversarial training."""

LATER_CERTIFIED = 4
"""Images of certificates that are left to a later command."""

LEFT_OUT = 0.2
"""Share of the budget above which the fewest certificates are left out."""


@dataclass(frozen=True)
class Plan:
    """What is done in each step."""

    adapting: Training
    """The training that adapts the purifier to the pictures."""
    defending: Training
    """The adversarial training."""
    certified: int
    """Test images that are certified; 0 where certificates are left out."""
    votes: int
    """Most votes for an image."""
    judged: int
    """Test images that are attacked."""
    checked: bool = True
    """Whether the attacks are checked."""
    sigma: float = SIGMA
    """Noise of the certificates."""

    @property
    def radii(self) -> tuple[float, ...]:
        """L2 radii that its votes can prove."""
        return (0.0, self.sigma, *([2 * self.sigma] if self.votes >= FAR_VOTES else []))

    @property
    def left_out(self) -> frozenset[str]:
        """The steps that are not done."""
        return frozenset() if self.certified else frozenset({"certify"})

    def whole(self) -> Plan:
        """With what is left out, as a later command does it."""
        if self.certified:
            return replace(self, checked=True)
        return replace(self, checked=True, certified=LATER_CERTIFIED, votes=FAR_VOTES)


@dataclass(frozen=True)
class Training:
    """The length of a training."""

    batch_size: int
    """Pictures of a step."""
    epochs: float
    """Passes over the pictures."""

    @classmethod
    def within(cls, seconds: float, rate: float, images: int) -> Training:
        """One of about so many seconds, and of one step at least.

        Args:
            rate: seconds that a picture takes.
            images: how many there are.
        """
        seen = max(0.0, seconds) / rate
        low, high = (min(each, images) for each in BATCHES)
        batch = min(high, max(low, 2 ** int(math.log2(max(1.0, seen / STEPS)))))
        steps = max(1, round(seen / batch))
        return cls(batch, min(MOST_EPOCHS, float(f"{steps / (images // batch):.6g}")))

    def seen(self, images: int) -> float:
        """Pictures that its steps see."""
        return self.epochs * (images // self.batch_size) * self.batch_size


NAMES = ("purifier", "defence", "export", "bench", "certify", "judge")
"""The steps, in order."""


def planned(
    rates: Rates, budget: float, left: float, train: int, test: int, pace: float = 1.0
) -> tuple[Plan, dict[str, float]]:
    """The plan, and the seconds that each step is expected to take.

    Args:
        budget: seconds for everything.
        left: of these, what is left for the steps that are not done.
        train, test: how many pictures there are.
        pace: how many times slower trainings turned out to be than they were measured.
    """
    voting = (CERTIFIED * budget - rates.loading) / rates.voting
    votes = _between(LEAST_VOTES, voting / LEAST_CERTIFIED - BLOCK, MOST_VOTES) // BLOCK * BLOCK
    certified = min(test, _between(LEAST_CERTIFIED, voting / (votes + BLOCK), MOST_CERTIFIED))
    seconds = {
        "export": EXPORTED + FORWARDS / 2 * rates.voting,
        "bench": rates.loading + TIMED + FORWARDS * rates.voting,
        "certify": certifying(rates, certified, votes),
    }
    if votes == LEAST_VOTES and seconds["certify"] > LEFT_OUT * budget:
        certified, seconds["certify"] = 0, 0.0
    room = left - sum(seconds.values()) - LEAST_TRAINED * budget
    _, _, least = judged(rates, room, min(test, LEAST))
    training = min(TRAINED * budget, left - least - sum(seconds.values())) - 2 * rates.loading
    training = max(training, LEAST_TRAINED * budget)
    adapting, defending = (
        Training.within(share * training, pace * rate, train)
        for share, rate in ((ADAPTED, rates.adapting), (1 - ADAPTED, rates.defending))
    )
    trained = {
        "purifier": rates.loading + pace * rates.adapting * adapting.seen(train),
        "defence": rates.loading + pace * rates.defending * defending.seen(train),
    }
    plan = Plan(adapting, defending, certified, votes, min(test, LEAST))
    return plan, {**trained, **seconds, "judge": least}


def judged(rates: Rates, left: float, test: int) -> tuple[int, bool, float]:
    """How many images are judged in the seconds that are left, whether the attacks are checked, and
    the seconds that it takes. Checks come before images: of attacks that nobody has checked nobody
    knows whether they work."""
    counts = range(min(test, LEAST), min(test, MOST) + 1)
    for checked in (True, False):
        fit = [each for each in counts if rates.loading + rates.judged(each, checked) <= left]
        if fit:
            return fit[-1], checked, rates.loading + rates.judged(fit[-1], checked)
    return counts[0], False, rates.loading + rates.judged(counts[0], checked=False)


def certifying(rates: Rates, images: int, votes: int) -> float:
    """Seconds that certificates take at most."""
    return rates.loading + images * (votes + BLOCK) * rates.voting


def _between(least: int, count: float, most: int) -> int:
    return min(most, max(least, int(count)))

"""What a budget buys: how long is trained, and on how many images is judged.

What the machine takes is measured first. The judging comes last and gets all that is left; before
each step what is still to come is planned again. The plan is kept, so that an interrupted
protection goes on with the same settings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from alp.defences.plan import BLOCK
from alp.protection.measure import Rates

TRAINED, CERTIFIED = 0.5, 0.08
"""Shares of the budget; exporting and timing take what they take, and judging gets the rest."""

ADAPTED = 0.2
"""Of the training's time, that of adapting the purifier to the pictures."""

EXPORTED, TIMED = 10.0, 20.0
"""Seconds that exporting and timing are expected to take."""

STEPS = 30
"""Training steps below which a batch is made smaller."""

BATCHES = (8, 64)
"""Smallest and largest batch of a training step."""

MOST_EPOCHS = 100.0
"""Passes over the pictures beyond which a training learns them by heart."""

LEAST_TRAINED = 0.25
"""Share of the budget that trainings get where all the rest takes longer than there is."""

LEAST, MOST = 4, 256
"""Images that are judged."""

LEAST_CERTIFIED, MOST_CERTIFIED = 4, 100
"""Images that are certified."""

LEAST_VOTES, MOST_VOTES = 4 * BLOCK, 8 * BLOCK
"""Votes for an image: with fewer the largest radius cannot be proved."""


@dataclass(frozen=True)
class Plan:
    """What is done in each step."""

    adapting: Training
    """The training that adapts the purifier to the pictures."""
    defending: Training
    """The adversarial training."""
    certified: int
    """Test images that are certified."""
    votes: int
    """Most votes for an image."""
    judged: int
    """Test images that are attacked."""
    sigma: float = 0.06
    """Noise of the certificates on the pixels, about that of the adversarial training."""


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
    votes = _between(LEAST_VOTES, voting / LEAST_CERTIFIED, MOST_VOTES) // BLOCK * BLOCK
    certified = min(test, _between(LEAST_CERTIFIED, voting / votes, MOST_CERTIFIED))
    seconds = {
        "export": EXPORTED,
        "bench": rates.loading + TIMED,
        "certify": rates.loading + certified * votes * rates.voting,
    }
    least = rates.loading + rates.judged(min(test, LEAST))
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


def judged(rates: Rates, left: float, test: int) -> tuple[int, float]:
    """How many images are judged in the seconds that are left, and the seconds that they take."""
    counts = range(min(test, LEAST), min(test, MOST) + 1)
    fit = [each for each in counts if rates.loading + rates.judged(each) <= left]
    images = max(fit, default=counts[0])
    return images, rates.loading + rates.judged(images)


def _between(least: int, count: float, most: int) -> int:
    return min(most, max(least, int(count)))

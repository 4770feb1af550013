"""A gallery of defences: some that only seem to be, each with one fault, and some honest ones.

All are made of classifiers of 12x12 images that train in a second. A class is a coarse pattern,
which a robust classifier sees, and a fine and faint one, which others lean on too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy

from alp import seeding
from alp.attacks import PGD, Linf
from alp.data import Images
from alp.defences.preprocessed import Preprocessed
from alp.seeding import generator, initialising, normal, uniform

CLASSES = 4
SIDE = 12
PIXELS = 3 * SIDE * SIDE
THREAT = Linf(0.08)
SIGMA = 0.15


def images(count: int, purpose: str) -> Images:
    """Images of the toy classes; the patterns are the same for every purpose."""
    patterns = generator(0, "gallery patterns")
    coarse = normal((CLASSES, 3, SIDE // 2, SIDE // 2), patterns).sign()
    coarse = coarse.repeat_interleave(2, -1).repeat_interleave(2, -2)
    fine = normal((CLASSES, 3, SIDE, SIDE), patterns).sign()
    source = generator(0, f"gallery {purpose}")
    labels = torch.randint(CLASSES, (count,), generator=source)
    noise = normal((count, 3, SIDE, SIDE), source)
    strength = 0.7 + 0.6 * uniform((count, 1, 1, 1), source)
    x = 0.5 + 0.07 * strength * coarse[labels] + 0.03 * fine[labels] + 0.12 * noise
    pixels = (255 * x.clamp(0, 1)).round().to(torch.uint8)
    return Images.of(pixels, labels, [f"class {k}" for k in range(CLASSES)], "gallery", purpose)


class Network(nn.Module):
    """Two hidden layers, with a head after each of them."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, width), nn.ReLU())
        self.second = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, CLASSES))
        self.early = nn.Linear(width, CLASSES)

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.first(4 * (x - 0.5))
        return self.early(hidden), self.second(hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.heads(x)[1]


class Linear(nn.Module):
    """A linear classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, CLASSES))

    def heads(self, x: Tensor) -> tuple[Tensor]:
        return (self(x),)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(4 * (x - 0.5))


def trained(model: nn.Module, sigma: float = 0.0, adversarial: bool = False) -> nn.Module:
    """``model`` after 100 steps on images with noise of ``sigma``, or on attacked ones."""
    data = images(1024, "train")
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(100):
        source = generator(0, "gallery training", step)
        x, y = data.batch(torch.randperm(len(data), generator=source)[:128])
        if adversarial:
            x = PGD(3, step_size=THREAT.eps / 2)(model, x, y, THREAT, source)
        x = x + sigma * normal(x.shape, source)
        optimiser.zero_grad()
        sum(cross_entropy(logits, y) for logits in model.heads(x)).backward()
        optimiser.step()
    return model.eval().requires_grad_(False)


def networks() -> dict[str, nn.Module]:
    with initialising(0, "gallery"):
        linear, plain, smooth, robust = Linear(), Network(), Network(), Network()
    return {
        "linear": trained(linear),
        "plain": trained(plain),
        "smooth": trained(smooth, sigma=SIGMA),
        "robust": trained(robust, adversarial=True),
    }


class RoundingPurifier(Preprocessed):
    """A purifier that rounds what it has made noisy."""

    settings: dict[str, float] = {}  # noqa: RUF012

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__(classifier, draws=4)

    def transform(self, x: Tensor, source: seeding.Source) -> Tensor:
        return rounded(x + SIGMA * normal(x.shape, source).to(x))


def rounded(x: Tensor) -> Tensor:
    return (7 * x).round() / 7


class Gallery:
    """Each method is a defence: images to logits, random through torch's global generator."""

    def __init__(self, known: Tensor) -> None:
        """``known`` are the images of the evaluation."""
        nets = networks()
        self.plain, self.smooth = nets["plain"], nets["smooth"]
        self.known = known
        self.linear = nets["linear"]
        self.adversarially_trained = nets["robust"]
        self.rounding_purifier = RoundingPurifier(self.smooth).eval()

    def randomised_smoothing(self, x: Tensor) -> Tensor:
        return self.smooth(x + SIGMA * torch.randn_like(x))

    def stop_gradient_purifier(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            purified = (x + avg_pool2d(x, 3, 1, 1, count_include_pad=False)) / 2
        return self.plain(purified)

    def quantised_input(self, x: Tensor) -> Tensor:
        return self.plain(rounded(x))

    def random_constant(self, x: Tensor) -> Tensor:
        """A large constant in a random direction drowns the logits."""
        logits = self.plain(x)
        direction = torch.randn_like(logits)
        return logits + 100 * direction / direction.norm(dim=1, keepdim=True)

    def saturated_softmax(self, x: Tensor) -> Tensor:
        """So confident that the cross-entropy's gradient underflows."""
        return 1e4 * self.plain(x)

    def early_exit(self, x: Tensor) -> Tensor:
        """Leaves at a random depth, and the early head shows no gradient."""
        early, late = self.plain.heads(x)
        leaves = torch.rand(len(x), 1) < 0.3
        return torch.where(leaves, early.detach(), late)

    def lucky(self, x: Tensor) -> Tensor:
        """One draw in twenty is the answer to the clean image, which it finds by its place in the
        batch."""
        logits = self.plain(x)
        if len(x) != len(self.known):
            return logits
        remembers = torch.rand(len(x), 1) < 1 / 20
        return torch.where(remembers, self.plain(self.known), logits)


HONEST = {"linear": None, "adversarially_trained": None, "randomised_smoothing": 8}
"""Name of an honest defence to the draws of its prediction, where a plain callable has several."""

BROKEN = (
    "stop_gradient_purifier",
    "quantised_input",
    "random_constant",
    "saturated_softmax",
    "early_exit",
    "lucky",
    "rounding_purifier",
)
"""Names of the broken ones."""

"""What attackers really ask a target: how often, for how many draws, and which of its views."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from alp import seeding
from alp.attacks import (
    APGD,
    ATTACKS,
    BIM,
    FGSM,
    L2,
    LBFGS,
    NES,
    NFGSM,
    PGD,
    SPSA,
    Linf,
    RayS,
    Square,
)
from alp.attacks.library import (
    FAB,
    FMN,
    LIBRARY_ATTACKS,
    AutoAttackStandard,
    Boundary,
    CarliniWagner,
    DeepFool,
    HopSkipJump,
    SquareReference,
    TargetedAPGD,
)
from alp.defences.base import CAPABILITIES, Defence
from alp.evaluation.adaptive import EntryTask
from alp.evaluation.knowledge import KNOWLEDGE
from alp.evaluation.suites import Entry, Probes, Suite
from alp.evaluation.tasks import Context, generate

pytestmark = pytest.mark.slow

COUNT, SIDE, CLASSES = 3, 4, 5
WEIGHT = seeding.normal((3 * SIDE * SIDE, CLASSES), seeding.generator(0, "counted weight"))
X = 0.3 + 0.4 * seeding.uniform((COUNT, 3, SIDE, SIDE), seeding.generator(0, "counted images"))


def linear(x: Tensor) -> Tensor:
    return (x - 0.5).flatten(1) @ WEIGHT.to(x)


Y = linear(X).argmax(1)


class Counted(Defence):
    """Notes (what it was asked for, draws, whether for a gradient) of every call of an attacker."""

    capabilities = CAPABILITIES

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, int, bool]] = []
        self.judged: list[int] = []
        self.draws, self.training = 7, False

    def _answer(self, what: str, x: Tensor, draws: int) -> Tensor:
        self.calls.append((what, draws, x.requires_grad))
        return linear(x).expand(draws, -1, -1)

    def bare(self, x: Tensor) -> Tensor:
        return self._answer("bare", x, 1)[0]

    def logits(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return self._answer("logits", x, draws)

    def masked(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return self._answer("masked", x, draws)

    def bpda(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return self._answer("bpda", x, draws)

    def rejects(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), dtype=torch.bool)

    def watched(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return self._answer("watched", x, draws)

    def sample(self, state: Tensor, source: seeding.Source, draws: int) -> Tensor:
        raise AssertionError("nobody asks the random half alone")

    def forward(self, x, source=None, *, draws=None) -> Tensor:
        self.judged.append(len(x))
        return linear(x)


ASKED = {
    "oblivious": ("bare", 1),
    "transfer": ("logits", 6),
    "score": ("logits", 6),
    "masked": ("masked", 1),
    "single": ("logits", 1),
    "detectors": ("watched", 6),
    "bpda": ("bpda", 6),
    "fixed": ("logits", 6),
    "eot": ("logits", 6),
}
"""Level of knowledge to the view that its attacker calls, and the draws of a call of one who
averages six."""

OWN = {
    "fgsm": (FGSM(), 1, 0),
    "bim": (BIM(steps=4), 4, 0),
    "pgd": (PGD(steps=4), 4, 0),
    "pgd, 2 starts": (PGD(steps=4, restarts=2), 8, 2),
    "apgd": (APGD(steps=20), 21, 8),
    "apgd, 2 starts": (APGD(steps=20, restarts=2), 42, 16),
    "square": (Square(queries=8), 0, 16),
    "square, scored once": (Square(queries=8, rescored=False), 0, 9),
    "nfgsm": (NFGSM(noise=0.0), 1, 0),
    "nes": (NES(queries=50, pairs=6), 0, 48),
    "spsa": (SPSA(queries=48, pairs=6), 0, 48),
    "rays": (RayS(queries=9), 0, 9),
}
"""An attack to its calls with a gradient and without one."""


def test_every_level_and_attack_is_counted() -> None:
    assert set(ASKED) == set(KNOWLEDGE)
    names = {type(attack) for attack, *_ in [*OWN.values(), *LIBRARY.values()]} | {LBFGS}
    assert names == {*ATTACKS.values(), *LIBRARY_ATTACKS.values()}


def count(defence: Counted, level: str, attack, threat=Linf(0.05)):  # noqa: B008
    """Calls with a gradient and without one; each is of the view and the draws that the level
    says."""
    defence.calls.clear()
    generate(defence, level, X, Y, threat, attack, seed=0, batch=0, draws=6)
    assert {(view, draws) for view, draws, _ in defence.calls} == {ASKED[level]}
    with_gradient = sum(gradient for *_, gradient in defence.calls)
    return with_gradient, len(defence.calls) - with_gradient


@pytest.mark.parametrize("level", KNOWLEDGE)
@pytest.mark.parametrize("name", OWN)
def test_an_attack_calls_as_often_as_its_settings_say(name: str, level: str) -> None:
    attack, gradients, scores = OWN[name]
    assert attack.calls == (gradients, scores)
    assert count(Counted(), level, attack) == (gradients, scores)


def test_lbfgs_takes_its_searches_for_every_image() -> None:
    pytest.importorskip("scipy")
    gradients, scores = count(Counted(), "fixed", LBFGS(steps=6, searches=4))
    assert scores == 4 * COUNT
    assert COUNT * (1 + 4 * 2) <= gradients <= COUNT * (1 + 4 * (6 + 20))
    fewer, _ = count(Counted(), "fixed", LBFGS(steps=1, searches=4))
    assert fewer < gradients


FAR = Linf(1e-4)
"""So small a radius that no attack inside it breaks an image: none ends early."""

LIBRARY = {
    "apgd-t": (TargetedAPGD(steps=5, targets=3), FAR, 3 * 6),
    "apgd-t, all classes": (TargetedAPGD(steps=5, targets=9), FAR, 4 * 6),
    "apgd-t, 2 starts": (TargetedAPGD(steps=5, targets=3, restarts=2), FAR, 2 * 3 * 6),
    "fab-t": (FAB(steps=5, targets=3), FAR, 3 * 5),
    "fab-t, all classes": (FAB(steps=5, targets=9), FAR, 4 * 5),
    "fab-t, 2 starts": (FAB(steps=5, targets=3, restarts=2), FAR, 2 * 3 * 5),
    "square-reference": (SquareReference(queries=9), FAR, 0),
    "autoattack": (AutoAttackStandard(), FAR, 101 + 4 * 101 + 4 * 100),
    "boundary": (Boundary(steps=30), L2(0.01), 0),
    "hopskipjump": (HopSkipJump(steps=2, evaluations=10), FAR, 0),
    "cw": (CarliniWagner(steps=4, searches=3, step_size=0.001), L2(0.01), 12),
    "deepfool": (DeepFool(steps=1, candidates=4), FAR, 3),
    "fmn": (FMN(steps=11), FAR, 11),
}
"""An attack of a library, a threat, and its calls with a gradient."""


@pytest.mark.parametrize("name", LIBRARY)
def test_a_library_attack_takes_every_gradient_of_its_settings(name: str) -> None:
    pytest.importorskip("foolbox")
    pytest.importorskip("pyautoattack")
    attack, threat, gradients = LIBRARY[name]
    found, scores = count(Counted(), "fixed", attack, threat)
    assert found == gradients
    most, plain = attack.calls
    assert gradients <= most
    assert 0 < scores <= plain


# What an entry attacks


def entry_task(level: str, after: int, evaluations: int = 2) -> tuple[Counted, EntryTask]:
    entry = Entry(level, PGD(1), 6)
    suite = Suite("one", (entry,), (), evaluations, Probes(0))
    defence = Counted()
    return defence, EntryTask(Context(defence, {}, Linf(0.05), 0), suite, entry, after)


@pytest.mark.parametrize("level", [name for name in KNOWLEDGE if name != "transfer"])
@pytest.mark.parametrize("broken_by", KNOWLEDGE)
def test_only_white_boxes_spare_images_to_white_boxes(broken_by: str, level: str) -> None:
    """An entry attacks what is left; what a black box has broken is left to white ones."""
    black = {"oblivious", "transfer", "score"}
    _, task = entry_task(level, after=2)
    earlier = [
        {"clean_select": np.array([2, 2, 0])},
        {f"{broken_by} pgd-1_select": np.array([0, 1, -1]), "psnr": np.zeros(3)},
    ]
    found = task.run(X, Y, 0, earlier)[f"{task.name}_attacked"].tolist()
    spared = broken_by in black and level not in black
    assert found == [spared, True, False]


def test_an_entry_averages_its_own_draws_and_is_judged_by_the_suites() -> None:
    defence, task = entry_task("eot", after=1, evaluations=3)
    columns = task.run(X, Y, 0, [{"clean_select": np.full(COUNT, 3)}])
    assert defence.calls == [("logits", 6, True)]
    select, fresh = (columns[f"{task.name}_{part}"] for part in ("select", "fresh"))
    assert set(select.tolist()) <= {0, 3}
    better = int((select < 3).sum())
    assert defence.judged == 3 * [COUNT] + 3 * [better] * bool(better)
    assert ((fresh >= 0) == (select < 3)).all()

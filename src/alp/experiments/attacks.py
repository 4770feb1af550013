"""Every attack of the field on one table: baseline, ALP standalone, AT and A-ALP + AT, in Linf and
in L2.

Records of the kind ``verdict``, one a defence, norm and group of attacks that cost alike, without
checks. Each attack meets every image of its group that is right, and is judged on fresh draws. The
groups differ in images and effort: decisions of a defence of many draws are dear.

Against a random defence, attacks that are made for random targets average fresh draws; those that
trust every value, or see decisions only, get a bank of known draws.
"""

from __future__ import annotations

from dataclasses import dataclass

from alp.attacks import BIM, FGSM, L2, LBFGS, PGD, Attack, Square, Threat
from alp.attacks.library import AutoAttackStandard, Boundary, CarliniWagner, DeepFool, HopSkipJump
from alp.defences.base import Defence
from alp.evaluation.suites import Entry, Probes, Suite, suite_for
from alp.experiments import EXPERIMENTS, trained
from alp.experiments.workspace import Workspace
from alp.records import Record

L2_EPS = 0.5
"""Radius of the Euclidean threat, on images in [0,1]; that of Linf is the protocol's."""

DRAWS = 4
"""Draws that an attacker averages, or knows."""

EVALUATIONS = 2
"""Predictions by which an attacked image is selected, and again as many that judge it."""

SMOKE = 0.02
"""Share of the effort at scale ``smoke``."""


@dataclass(frozen=True)
class Group:
    """Attacks that cost alike, on the same images."""

    name: str
    """What they have in common; the suite of their records."""
    share: float
    """Of the protocol's images."""
    attacks: tuple[Attack, ...]
    """For both norms."""
    euclidean: tuple[Attack, ...] = ()
    """For L2 alone."""
    level: str = "fixed"
    """What they know of a random defence: ``fixed``, a bank of draws, or ``eot``, fresh ones."""
    precision: str = "float32"
    """What they compute in."""

    def suite(self, threat: Threat, defence: Defence, classes: int) -> Suite:
        """The group as a suite for a defence."""
        euclidean = self.euclidean if isinstance(threat, L2) else ()
        entries = tuple(self._entry(attack) for attack in self.attacks + euclidean)
        whole = Suite(self.name, entries, (), EVALUATIONS, Probes(images=0))
        return suite_for(whole, type(threat).__name__.lower(), defence, classes=classes)

    def _entry(self, attack: Attack) -> Entry:
        level = "score" if isinstance(attack, Square) else self.level
        return Entry(level, attack, DRAWS, "loss" if level == "eot" else "logits")


def groups(effort: float = 1.0) -> list[Group]:
    """The groups, their steps times ``effort``."""

    def of(number: int) -> int:
        return max(1, round(effort * number))

    return [
        Group("first-order", 0.064, (FGSM(), BIM(of(10)), PGD(of(20))), level="eot"),
        Group(
            "minimum-norm",
            0.016,
            (LBFGS(of(20), of(5)), DeepFool(of(50))),
            (CarliniWagner(of(100), of(6)),),
        ),
        Group(
            "black-box",
            0.016,
            (HopSkipJump(of(5), of(50)), Square(of(500))),
            (Boundary(of(500)),),
            precision="bfloat16",
        ),
        Group("autoattack", 0.016, (AutoAttackStandard(),), precision="bfloat16"),
    ]


@EXPERIMENTS.register("attacks", order=30, summary="every attack of the field, in Linf and L2")
def attacks(workspace: Workspace) -> list[Record]:
    """A record a defence, norm and group."""
    rows = workspace.grid(trained.table_rows(workspace))
    records = []
    for group in groups(SMOKE if workspace.protocol.scale == "smoke" else 1.0):
        for place, name, model in rows:
            for threat in (workspace.protocol.threat, L2(L2_EPS)):
                records += _measured(workspace, place, name, model(), threat, group)
    return records


def _measured(
    workspace: Workspace, place: str, name: str, model: Defence, threat: Threat, group: Group
) -> list[Record]:
    """The record of a group, if any of its attacks is apt for the images' classes."""
    images = workspace.share_of_images(group.share)
    suite = group.suite(threat, model, len(images.classes))
    if not suite.entries:
        return []
    norm = type(threat).__name__.lower()
    return [
        workspace.judge(
            f"{place}-{norm}-{group.name}",
            name,
            model,
            images,
            suite,
            {},
            threat=threat,
            attack_precision=group.precision,
        )
    ]

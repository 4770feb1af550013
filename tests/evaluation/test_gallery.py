"""Evaluations of the gallery: what the checks say is what ``docs/checks.md`` says they do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from gallery import BROKEN, HONEST, THREAT, Gallery, images

from alp.attacks import APGD, PGD, Square
from alp.evaluation.checks import CHECKS
from alp.evaluation.evaluator import evaluate
from alp.evaluation.suites import Entry, Probes, Suite

pytestmark = pytest.mark.slow

DOC = Path(__file__).parents[2] / "docs" / "checks.md"
COUNT = 24
SUITE = Suite(
    "gallery",
    opening=(
        Entry("transfer", PGD(10), surrogate="plain"),
        Entry("score", Square(10), 2, "logits"),
        Entry("eot", APGD(8), 4),
    ),
    closing=(),
    evaluations=2,
    probes=Probes(images=COUNT, steps=(10, 20), draws=4),
)
FAILS, PASSES, ABSENT = "x", "", "-"


def documented() -> dict[str, dict[str, str]]:
    """The table of the page: defence to check to mark."""
    table = [line for line in DOC.read_text().splitlines() if line.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


@pytest.fixture(scope="module")
def data():
    return images(COUNT, "test")


@pytest.fixture(scope="module")
def gallery(data):
    return Gallery(data.batch(torch.arange(COUNT))[0])


def test_the_table_has_every_defence_and_every_check():
    table = documented()
    assert list(table) == [name.replace("_", " ") for name in (*BROKEN, *HONEST)]
    for name, row in table.items():
        assert list(row) == list(CHECKS)
        assert (FAILS in row.values()) == (name.replace(" ", "_") in BROKEN)


@pytest.mark.parametrize("name", [*BROKEN, *HONEST])
def test_the_verdict_on(name, gallery, data):
    record = evaluate(
        getattr(gallery, name),
        data,
        THREAT,
        SUITE,
        surrogates={"plain": gallery.plain},
        draws=HONEST.get(name),
    )
    findings = {each["check"]: each for each in record.header["checks"]}
    marks = dict.fromkeys(CHECKS, ABSENT) | {
        check: PASSES if each["passed"] else FAILS for check, each in findings.items()
    }
    words = [each["words"] for each in findings.values() if not each["passed"]]
    assert marks == documented()[name.replace("_", " ")], words

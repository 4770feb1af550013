"""A defence of another distribution, which is found by its entry point and nothing else."""

from __future__ import annotations

import pytest
import torch

from alp.attacks import PGD, Linf
from alp.bench.run import baseline_names, baselines_before
from alp.data import Images
from alp.defences.base import DEFENCES, Defence
from alp.defences.checkpoint import load_model, save
from alp.evaluation import Entry, Probes, Suite, evaluate
from alp.records import conclude
from alp.seeding import generator

MODULE = '''
from alp.defences.preprocessed import Preprocessed
from alp.defences.classifier import ResNetLite
from alp.seeding import uniform


class Dimmed(Preprocessed):
    """Less light, at random."""

    def __init__(self, classifier, least=0.5, draws=2):
        super().__init__(classifier, draws)
        self.least = least

    @property
    def settings(self):
        return {"least": self.least}

    def transform(self, x, source):
        share = self.least + (1 - self.least) * uniform((len(x), 1, 1, 1), source).to(x)
        return share * x

    def describe(self):
        return {"kind": "dimmed", "least": self.least, "draws": self.draws,
                "classifier": self.classifier.describe()}

    @classmethod
    def from_description(cls, description):
        head = ResNetLite.from_description(description["classifier"])
        return cls(head, description["least"], description["draws"])
'''


@pytest.fixture
def dimmed(outside) -> type[Defence]:
    """The class, installed in a distribution of its own."""
    outside(DEFENCES, "dimmed", "dim_defence:Dimmed", MODULE)
    return DEFENCES["dimmed"]


def test_it_is_listed_with_where_it_comes_from(dimmed) -> None:
    assert list(DEFENCES)[-1] == "dimmed", "after all of alp's own"
    assert DEFENCES.summary("dimmed") == "from dim_defence:Dimmed"
    assert "dimmed" in DEFENCES
    assert "dimmed" in baseline_names(), "alp bench --baselines offers it"


def test_it_is_judged_and_saved_as_any_other(dimmed, new_classifier, new_images, tmp_path) -> None:
    (defence,) = baselines_before(new_classifier(), ["dimmed"]).values()
    assert type(defence) is dimmed
    pixels = (255 * new_images(4, 8, 8)).to(torch.uint8)
    labels = defence.eval()(pixels / 255, generator(0, "labels"), draws=50).argmax(1)
    data = Images.of(pixels, labels, "abcd", "toy", "test")
    entries = (Entry("eot", PGD(2), 2), Entry("oblivious", PGD(2)), Entry("bpda", PGD(2), 2))
    suite = Suite("tiny", entries, (), 2, Probes(images=0))
    record = evaluate(defence, data, Linf(0.1), suite)
    assert record.name == "Dimmed"
    assert record.header["draws"] == 2
    assert set(conclude(record)["levels"]) == {"eot", "oblivious", "bpda"}
    save(defence, tmp_path / "weights")
    back = load_model(tmp_path / "weights")
    assert type(back) is type(defence)
    assert back.settings == {"least": 0.5}

"""Verdicts in the card of a model and in the hub's own files."""

from __future__ import annotations

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries

import alp
from alp.attacks import PGD
from alp.data.images import Images
from alp.defences.checkpoint import weights_digest
from alp.errors import RecordError
from alp.evaluation import About
from alp.evaluation.suites import Entry, Probes, Suite
from alp.interop.hub import add_results, entries

SUITE = Suite("tiny", (Entry("single", PGD(2)),), (), 1, Probes(images=0, steps=(1, 2), draws=1))


@pytest.fixture
def judged(defended, images):
    def make(name="cifar10"):
        data = Images.of(images.images[:8], images.labels[:8], images.classes, name, "test")
        about = About("toy", weights={"model": weights_digest(defended)})
        return alp.evaluate(defended, data, alp.Linf(8 / 255), SUITE, about=about)

    return make


@pytest.mark.slow
def test_card_and_entries_have_the_numbers_and_what_they_hold_for(defended, judged, tmp_path):
    record = judged()
    defended.save_pretrained(tmp_path / "model")
    for _ in range(2):  # the second time replaces the first
        add_results(tmp_path / "model", [record])
    told = alp.conclude(record)
    card = ModelCard.load(tmp_path / "model" / "README.md")
    clean, worst = card.data.eval_results
    assert clean.metric_value == told["clean"]["value"]
    assert worst.metric_value == told["worst"]["value"]
    assert worst.dataset_type == "uoft-cs/cifar10"
    text = (tmp_path / "model" / ".eval_results" / "alp.yaml").read_text()
    found = parse_eval_result_entries(yaml.safe_load(text))
    assert [each.task_id for each in found] == ["clean_accuracy", "worst_case_accuracy"]
    assert found[1].value == pytest.approx(100 * told["worst"]["value"], abs=0.01)
    for words in ("linf eps 0.03137", "suite tiny", "8 images", "95 % interval"):
        assert words in found[1].notes
    assert "Load it with" in card.text
    assert alp.Defended.from_pretrained(tmp_path / "model").draws == 3


def test_a_data_set_that_is_not_on_the_hub_has_no_entry(judged) -> None:
    assert entries(judged("mine")) == []


def test_a_record_of_other_weights_is_refused(judged, defended, tmp_path) -> None:
    record = judged()
    defended.classifier.head.bias.data += 1
    defended.save_pretrained(tmp_path / "model")
    with pytest.raises(RecordError, match="other weights"):
        add_results(tmp_path / "model", [record])

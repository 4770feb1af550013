from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from alp.attacks import L2, NFGSM, PGD, Linf
from alp.errors import ConfigError, RecordError, UnknownNameError
from alp.evaluation import About, PaperProtocol, evaluate
from alp.evaluation.verdict import NOT_A_CLASS
from alp.records import read, summarise, write
from alp.seeding import derive

ABOUT = About(
    "toy", trial=2, draws=4, sigma=0.05, weights={"classifier": "ab"}, extra={"epochs": 3}
)
ALL = ["oblivious", "single", "masked"]
EPS = 0.01


def _evaluate(defence, images, knowledge=ALL, attack=PGD(steps=3), threat=Linf(EPS), **options):  # noqa: B008
    settings = {"about": ABOUT, "seed": 0, "batch_size": 20, **options}
    return evaluate(defence, images, threat, PaperProtocol(attack, tuple(knowledge)), **settings)


@dataclass
class Counting:
    """PGD that remembers the generators it was given."""

    seeds: list[int] = field(default_factory=list)
    calls = PGD(steps=3).calls

    def __call__(self, target, x, y, threat, source):
        self.seeds.append(source.initial_seed())
        return PGD(steps=3)(target, x, y, threat, source)


@dataclass
class TooFar:
    """An attack that leaves [0,1]."""

    calls = (0, 1)

    def __call__(self, target, x, y, threat, source):
        return x + 1


def test_a_linear_classifier_falls_where_the_closed_form_says(undefended, images, weight):
    """Linf moves the margin of a two-class linear model by eps * ||w_0 - w_1||_1 at most."""
    undefended.weight = weight[:, :2]
    x, _ = images.batch(torch.arange(len(images)))
    logits = undefended.bare(x)
    margin = logits.amax(1) - logits.amin(1)
    robust = margin > EPS * (weight[:, 0] - weight[:, 1]).abs().sum()
    assert 0.1 < robust.float().mean() < 0.9
    two = replace(images, labels=logits.argmax(1), classes=("a", "b"))
    record = _evaluate(undefended, two, attack=PGD(steps=20, step_size=EPS / 5))
    assert record.columns["clean_correct"].all()
    assert record.columns["single_correct"].tolist() == robust.tolist()
    assert record.columns["single_distance"] == pytest.approx(EPS, rel=1e-4)


def test_columns_are_raw_results_per_image(defended, images):
    record = _evaluate(defended, images)
    per_level = ("correct", "prediction", "distance", "zero_gradient")
    assert list(record.columns) == [
        *("index", "label", "clean_correct", "clean_prediction", "psnr", "ssim"),
        *(f"{level}_{name}" for level in ALL for name in per_level),
    ]
    assert len(record) == len(images)
    assert record.columns["index"].tolist() == list(range(len(images)))
    assert record.columns["label"].tolist() == images.labels.tolist()
    for point in ("clean", *ALL):
        agrees = record.columns[f"{point}_prediction"] == record.columns["label"]
        assert (record.columns[f"{point}_correct"] == agrees).all()
    # Noise of sigma 0.05 on every pixel is a PSNR of -20 log10(0.05).
    assert record.columns["psnr"].mean() == pytest.approx(26.02, abs=0.2)
    assert record.columns["ssim"].max() < 1


def test_the_header_ties_the_numbers_to_their_protocol(defended, images):
    header = _evaluate(defended, images, threat=L2(0.5)).header
    assert header["threat"] == {"name": "l2", "eps": 0.5}
    assert header["attack"]["name"] == "pgd"
    assert header["attack"]["steps"] == 3
    assert header["attack"]["step_size"] == 0.125
    assert list(header["knowledge"]) == ALL
    assert "stop-gradient" in header["knowledge"]["masked"]
    assert header["data"] == {"name": "toy", "split": "test", "classes": ["a", "b", "c"]}
    assert header["data_digest"] == images.digest
    assert header["kind"] == "robustness"
    for name in ("name", "trial", "draws", "sigma", "weights", "extra"):
        assert header[name] == getattr(ABOUT, name)
    assert header["images"] == 50
    assert set(header["versions"]) == {"alp", "python", "torch", "numpy"}
    assert header["latency"] == {}


def test_the_same_call_gives_the_same_record_and_another_seed_another(defended, images):
    first = _evaluate(defended, images)
    assert first.same(_evaluate(defended, images))
    other = _evaluate(defended, images, seed=1)
    assert not np.array_equal(first.columns["psnr"], other.columns["psnr"])


def test_a_level_does_not_depend_on_the_levels_beside_it(defended, images):
    together = _evaluate(defended, images).columns
    alone = _evaluate(defended, images, ["single"]).columns
    assert all(np.array_equal(alone[name], together[name]) for name in alone)


def test_the_noise_that_judges_never_met_an_attacker(defended, images):
    attack = Counting()
    _evaluate(defended, images, attack=attack)
    batches = 3
    beforehand = ("classes", "rates", "repeat", "memory", "shared")
    asked = {derive(0, purpose) for purpose in beforehand}
    judging = [seed for seed in defended.seeds["predict"] if seed not in asked]
    assert len(set(judging)) == len(judging) == batches * (1 + len(ALL))
    drawing = set(defended.seeds["logits"]) - set(judging) - asked
    assert len(drawing) == batches * 2 * 2, "a probe and an attack for single and for masked"
    assert not set(judging) & set(attack.seeds)
    assert not drawing & set(attack.seeds)
    assert not set(defended.seeds["purify"]) & (drawing | set(attack.seeds) | set(judging))


def test_the_levels_of_an_undefended_subject_are_one_attack(undefended, defended, images):
    attack = Counting()
    record = _evaluate(undefended, images, attack=attack)
    assert len(attack.seeds) == 3
    for name in ("correct", "prediction", "distance", "zero_gradient"):
        columns = [record.columns[f"{level}_{name}"] for level in ALL]
        assert all(np.array_equal(columns[0], column) for column in columns)
    attack = Counting()
    _evaluate(defended, images, attack=attack)
    assert len(attack.seeds) == 9


def test_a_deterministic_purifier_is_not_taken_for_no_defence(undefended, images):
    undefended.purify = lambda x, source: 0.9 * x
    attack = Counting()
    _evaluate(undefended, images, attack=attack)
    assert len(attack.seeds) == 9


def test_a_masked_attacker_is_blind_and_the_record_says_so(defended, images):
    record = _evaluate(defended, images)
    assert record.columns["masked_zero_gradient"].all()
    assert not record.columns["single_zero_gradient"].any()
    assert record.columns["single_correct"].mean() < record.columns["masked_correct"].mean()
    warnings = record.header["warnings"]
    assert any("`masked` is zero for 100.0 %" in text for text in warnings)
    assert not any("`single`" in text for text in warnings)
    assert any("50 images < 500" in text for text in warnings)


def test_many_images_need_no_warning(undefended, images):
    many = images.subset(torch.arange(500) % 50)
    assert _evaluate(undefended, many, ["oblivious"], batch_size=500).header["warnings"] == []


def test_predictions_that_are_not_finite_are_wrong_and_reported(undefended, images):
    undefended.predict = lambda x, source, draws: undefended.bare(x) * float("nan")
    record = _evaluate(undefended, images, ["single"])
    assert not record.columns["clean_correct"].any()
    assert (record.columns["single_prediction"] == NOT_A_CLASS).all()
    assert sum("50 predictions" in text for text in record.header["warnings"]) == 2


def test_an_attack_outside_the_threat_is_refused(undefended, images):
    with pytest.raises(ConfigError, match=r"NFGSM.*outside Linf"):
        _evaluate(undefended, images, attack=NFGSM())
    with pytest.raises(ConfigError, match=r"keeps to \[0,1\]"):
        _evaluate(
            undefended,
            images,
            attack=TooFar(),
            threat=Linf(1.0),
        )


@pytest.mark.parametrize(
    ("knowledge", "error", "complaint"),
    [
        (["single", "psychic"], UnknownNameError, "psychic.*oblivious"),
        ([], ConfigError, "one level or more"),
        (["single", "single"], ConfigError, "each once"),
    ],
)
def test_bad_knowledge_is_refused(undefended, images, knowledge, error, complaint):
    with pytest.raises(error, match=complaint):
        _evaluate(undefended, images, knowledge)


def test_what_the_record_could_not_keep_is_refused_before_the_work(undefended, images):
    attack = Counting()
    with pytest.raises(RecordError, match="JSON"):
        _evaluate(undefended, images, attack=attack, about=replace(ABOUT, extra={"x": object()}))
    assert attack.seeds == []


def test_no_images_are_refused(undefended, images):
    with pytest.raises(ConfigError, match="no images"):
        _evaluate(undefended, replace(images, labels=images.labels[:0]))


def test_progress_counts_images(undefended, images):
    seen = []
    _evaluate(undefended, images, ["single"], progress=lambda *told: seen.append(told))
    assert [what for what, _, _ in seen] == ["start", "attack", "attack", "attack"]
    assert [done / total for _, done, total in seen] == pytest.approx([0, 0.4, 0.8, 1])


def test_parameters_keep_no_gradient(defended, images):
    defended.weight.requires_grad_()
    _evaluate(defended, images)
    assert defended.weight.grad is None


def test_the_whole_way_to_a_summary(defended, images, tmp_path):
    record = _evaluate(defended, images)
    found = summarise(read(write(record, tmp_path / "toy")))
    assert found["robust"]["single"]["value"] == record.columns["single_correct"].mean()
    assert found["psnr"] == pytest.approx(record.columns["psnr"].mean(), abs=1e-4)

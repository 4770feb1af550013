"""Records of certificates: the same after a kill, larger budgets, and what they say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import alp
from alp.data import Images
from alp.defences.plan import BLOCK, SamplingPlan
from alp.defences.smoothed import Smoothed
from alp.errors import AlpError, ConfigError, RecordError
from alp.evaluation.certificate_attack import attack_certificates
from alp.evaluation.certify import CertifyConfig, certify_into
from alp.records.certificates import certified_at, summarise_certificates, votes_for


class Halves(nn.Module):
    """Three classes by the mean of the image, so that some are certain and some open."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centres", torch.tensor([0.3, 0.5, 0.7]))
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return -(x.flatten(1).mean(1, keepdim=True) - self.centres).abs()


def images(count: int = 30) -> Images:
    levels = torch.linspace(40, 215, count).round().to(torch.uint8)
    pixels = levels.view(-1, 1, 1, 1).expand(count, 3, 4, 4)
    labels = Halves()(pixels.float() / 255).argmax(1)
    return Images.of(pixels, labels, ("a", "b", "c"), "levels", "test")


SETTINGS: dict[str, Any] = {"sigma": 0.25, "radii": (0.0, 0.25), "budget": 2_000}


def test_a_record_says_what_the_votes_prove() -> None:
    data = images()
    record = alp.certify(Halves(), data, **SETTINGS)
    columns = record.columns
    votes = np.stack([columns[f"votes_{number}"] for number in range(3)])
    assert (votes.sum(0) == columns["draws"]).all()
    assert (columns["draws"] % BLOCK == 0).all()
    assert (votes_for(record) <= columns["draws"]).all()
    told = summarise_certificates(record)
    shares = [row["value"] for row in told["certified"]]
    assert shares == [certified_at(record, radius).mean() for radius in (0.0, 0.25)]
    assert shares[0] > shares[1] > 0
    assert told["certified"][1]["linf"] == pytest.approx(0.25 / np.sqrt(48))
    assert 0 < told["votes"] < 2_000
    assert set(columns["stopped"]) == {"settled", "budget"}


def test_two_records_are_compared_on_the_same_images() -> None:
    record = alp.certify(Halves(), images(), **SETTINGS)
    right = record.columns["selected"] == record.columns["label"]
    wrong = {**record.columns, "label": (record.columns["label"] + 1) % 3}
    other = replace(record, columns=wrong)
    assert right.all()
    for row in summarise_certificates(record, beside=other)["certified"]:
        assert row["paired"]["value"] == row["value"]
        assert 0 < row["paired"]["low"] < row["paired"]["high"] <= 1
    for row in summarise_certificates(other, beside=record)["certified"]:
        assert row["paired"]["value"] == -certified_at(record, row["radius"]).mean()
    fewer = alp.certify(Halves(), images(10), **SETTINGS)
    with pytest.raises(RecordError, match="are of other images; certify both on the same ones"):
        summarise_certificates(record, beside=fewer)


def test_what_is_settled_is_settled_for_a_reason() -> None:
    columns = alp.certify(Halves(), images(), **SETTINGS).columns
    settled = columns["stopped"] == "settled"
    sure = np.nan_to_num(columns["radius"], nan=-1)
    for radius in SETTINGS["radii"]:
        assert ((sure >= radius) | (columns["refuted"] <= radius))[settled].all()
    assert (columns["draws"][~settled] >= 2_000).all()


def test_the_batch_changes_no_vote(tmp_path: Path) -> None:
    smoothed, config = (
        Smoothed(Halves(), 0.25),
        CertifyConfig(SamplingPlan((0.0, 0.25), budget=2_000)),
    )
    first = certify_into(tmp_path / "a", "model", smoothed, images(), config)
    second = certify_into(
        tmp_path / "b", "model", smoothed, images(), replace(config, batch_size=7)
    )
    assert all(
        np.array_equal(first.columns[c], second.columns[c], True) for c in ("draws", "votes_0")
    )


class Killed(Exception):
    pass


@pytest.mark.parametrize("kills", [(3,), (1, 2, 9)])
def test_killed_and_resumed_the_counts_are_identical(
    tmp_path: Path, kills: tuple[int, ...]
) -> None:
    smoothed = Smoothed(Halves(), 0.25)
    config = CertifyConfig(SamplingPlan((0.0, 0.25), budget=2_000), batch_size=4)
    whole = certify_into(tmp_path / "whole", "model", smoothed, images(), config)
    for calls in kills:
        left = calls

        def stop(done: int, total: int, votes: int) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed

        with pytest.raises(Killed):
            certify_into(tmp_path / "cut", "model", smoothed, images(), config, stop)
    assert certify_into(tmp_path / "cut", "model", smoothed, images(), config).same(whole)
    assert not (tmp_path / "cut" / "certificates" / "model").exists()


def test_more_budget_later_is_as_more_budget_at_once(tmp_path: Path) -> None:
    smoothed = Smoothed(Halves(), 0.25)
    small, large = (CertifyConfig(SamplingPlan((0.0, 0.25), budget=b)) for b in (1_000, 4_000))
    first = certify_into(tmp_path / "a", "model", smoothed, images(), small)
    later = certify_into(tmp_path / "a", "model", smoothed, images(), large)
    once = certify_into(tmp_path / "b", "model", smoothed, images(), large)
    assert later.same(once)
    assert later.columns["draws"].sum() > first.columns["draws"].sum()


def test_a_finished_record_is_read(tmp_path: Path) -> None:
    config, smoothed = CertifyConfig(SamplingPlan(budget=2_000)), Smoothed(Halves(), 0.25)
    first = certify_into(tmp_path, "model", smoothed, images(), config)

    def refuse(done: int, total: int, votes: int) -> None:
        raise AssertionError("it votes again")

    assert certify_into(tmp_path, "model", smoothed, images(), config, refuse).same(first)


def test_fixed_votes_are_all_cast_and_never_extended() -> None:
    data = images(6)
    record = alp.certify(Halves(), data, **SETTINGS, method="fixed")
    assert set(record.columns["draws"]) == {2_048}
    with pytest.raises(ConfigError, match="'fixed' settles its votes beforehand"):
        alp.certify(Halves(), data, **SETTINGS | {"budget": 4_000}, method="fixed", start=record)


@pytest.mark.parametrize(
    "change", [{"sigma": 0.3}, {"seed": 1}, {"alpha": 0.01}, {"budget": 1_000}]
)
def test_an_earlier_record_of_other_settings_is_refused(change: dict[str, Any]) -> None:
    record = alp.certify(Halves(), images(4), **SETTINGS)
    with pytest.raises(ConfigError, match="differs in"):
        alp.certify(Halves(), images(4), **SETTINGS | change, start=record)


def test_anytime_agrees_with_fixed_and_is_cheaper() -> None:
    """Few radii are lost to stopping early, and votes are saved."""
    data = images(40)
    fixed = alp.certify(Halves(), data, sigma=0.25, budget=10_000, method="fixed")
    early = alp.certify(Halves(), data, sigma=0.25, budget=10_000, seed=1)
    for radius in (0.0, 0.25, 0.5):
        lost = certified_at(fixed, radius).mean() - certified_at(early, radius).mean()
        assert abs(lost) <= 0.08
    assert early.columns["draws"].mean() < 0.5 * fixed.columns["draws"].mean()


def test_attacks_within_the_radius_change_no_decision() -> None:
    data = images(12)
    smoothed = Smoothed(Halves(), 0.25)
    record = alp.certify(smoothed, data, radii=(0.0, 0.25), budget=2_000)
    told = attack_certificates(smoothed, data, record, 10)
    assert told["images"] == 10
    assert told["violations"] == 0


def test_a_false_certificate_is_found() -> None:
    """Radii ten times too large, which no attack may miss."""
    data = images(12)
    smoothed = Smoothed(Halves(), 0.25)
    record = alp.certify(smoothed, data, radii=(0.0, 0.25), budget=2_000)
    false = replace(record, columns=record.columns | {"radius": 10 * record.columns["radius"]})
    with pytest.raises(AlpError, match="certificates were broken"):
        attack_certificates(smoothed, data, false, 10)


class Watched(Halves):
    """Notes the number of threads that it is computed on."""

    def forward(self, x: Tensor) -> Tensor:
        self.seen = {*getattr(self, "seen", ()), torch.get_num_threads()}
        return super().forward(x)


def test_a_certificate_is_attacked_on_its_own_number_of_threads() -> None:
    base, before = Watched(), torch.get_num_threads()
    smoothed = Smoothed(base, 0.25)
    record = alp.certify(smoothed, images(4), radii=(0.0,), budget=512)
    assert base.seen == {before}
    base.seen = set()
    other = replace(record, header=record.header | {"threads": before + 1})
    attack_certificates(smoothed, images(4), other, 1)
    assert base.seen == {before + 1}
    assert torch.get_num_threads() == before


def test_the_target_has_to_be_a_module_with_a_sigma() -> None:
    with pytest.raises(ConfigError, match="sigma is missing"):
        alp.certify(Halves(), images(2))
    with pytest.raises(ConfigError, match="torch module"):
        alp.certify(lambda x: x, images(2), sigma=0.25)  # type: ignore[arg-type]


def test_a_record_of_another_kind_is_refused() -> None:
    record = alp.certify(Halves(), images(2), **SETTINGS)
    with pytest.raises(RecordError, match="kind 'other'"):
        summarise_certificates(replace(record, header=record.header | {"kind": "other"}))
    columns = {name: values for name, values in record.columns.items() if name != "radius"}
    with pytest.raises(RecordError, match="lacks radius"):
        summarise_certificates(replace(record, columns=columns))


def test_the_header_says_which_classifier_it_is(tmp_path: Path) -> None:
    header = alp.certify(Halves(), images(2), **SETTINGS, precision="bfloat16").header
    assert header["precision"] == "bfloat16"
    assert header["threads"] == torch.get_num_threads()
    assert json.loads(json.dumps(header)) == header
    assert header["lattice"]["sampler_error"] < 1e-8

"""Trainings and records in, a package out."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from rows import finish

from alp.config import DiffusionConfig
from alp.defences import packaged as packaged_module
from alp.defences.checkpoint import load_model, save, weights_digest
from alp.defences.diffusion import Diffusion
from alp.defences.packaged import Offer, load, open_package
from alp.errors import CheckpointError, ConfigError, RecordError, UnknownNameError
from alp.experiments.release import appraise, pack
from alp.records import Record, robust_share
from alp.records.statistics import paired_difference
from alp.report.card import render_card
from alp.seeding import generator, normal


def test_the_manifest_has_what_the_trainings_left(package, trained) -> None:
    manifest = package.manifest
    assert manifest["default"] == "defended"
    assert set(manifest["rows"]) == set(trained)
    for row, each in manifest["rows"].items():
        record = json.loads((trained[row] / "training.json").read_text())
        curve = record.pop("curve")
        thin = each["training"].pop("curve")
        assert each["training"] == record
        each["training"]["curve"] = thin
        assert len(thin["step"]) == 40
        assert thin["step"][-1] == curve["step"][-1] == 200
        assert each["precision"]["half"]
        assert each["precision"]["equal"] == 1
        assert 0 < each["precision"]["difference"] < 0.01


def test_every_file_is_in_the_manifest(package) -> None:
    there = {path.name for path in package.folder.iterdir()}
    assert there == {*package.manifest["files"], "manifest.json"}
    for name, file in package.manifest["files"].items():
        assert file["bytes"] == (package.folder / name).stat().st_size


def test_rows_share_the_purifier_that_they_have_in_common(package) -> None:
    rows = package.manifest["rows"]
    assert rows["standalone"]["files"]["purifier"] == rows["purifier"]["files"]["model"]
    assert rows["defended"]["files"]["purifier"] == "defended-purifier.safetensors"


def test_the_standalone_purifier_draws_once(package) -> None:
    assert package.load("standalone").draws == package.manifest["rows"]["standalone"]["draws"] == 1


def test_a_package_is_replaced_as_a_whole(trained, toy, tmp_path: Path) -> None:
    pack("toy", trained, tmp_path, toy, render_card)
    few = {row: trained[row] for row in ("defended", "standard")}
    again = pack("toy", few, tmp_path, toy, render_card)
    assert set(again.manifest["rows"]) == set(few)
    assert {path.name for path in tmp_path.iterdir()} == {"toy"}
    assert not (tmp_path / "toy" / "adversarial.safetensors").exists()


def test_a_failure_leaves_the_older_package(trained, toy, tmp_path: Path) -> None:
    pack("toy", trained, tmp_path, toy, render_card)
    before = (tmp_path / "toy" / "manifest.json").read_bytes()

    def fail(manifest) -> str:
        raise ConfigError("no card")

    with pytest.raises(ConfigError, match="no card"):
        pack("toy", trained, tmp_path, toy, fail)
    assert (tmp_path / "toy" / "manifest.json").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"toy"}


def test_a_packaged_model_packs_to_itself(package, trained, toy, tmp_path: Path) -> None:
    """Rounding twice changes nothing more."""
    folder = tmp_path / "run"
    model = package.load("adversarial")
    save(model, folder / "weights.safetensors")
    record = json.loads((trained["adversarial"] / "training.json").read_text())
    record["weights_digest"] = weights_digest(model)
    (folder / "training.json").write_text(json.dumps(record))
    rows = {"defended": trained["defended"], "adversarial": folder}
    again = pack("toy", rows, tmp_path, toy, render_card)
    assert weights_digest(again.load("adversarial")) == weights_digest(model)
    assert again.manifest["rows"]["adversarial"]["precision"]["difference"] == 0


def test_a_noise_predictor_is_a_row(trained, toy, tmp_path: Path) -> None:
    model = Diffusion(DiffusionConfig(width=8))
    folder = finish(tmp_path / "run", "diffusion", model)
    rows = {"defended": trained["defended"], "diffusion": folder}
    packed = pack("toy", rows, tmp_path, toy, render_card)
    row = packed.manifest["rows"]["diffusion"]
    assert row["precision"]["measure"] == "psnr"
    assert isinstance(load(f"{packed.folder}/diffusion"), Diffusion)
    assert (
        "| `diffusion` | diffusion model of low noise |"
        in (packed.folder / "README.md").read_text()
    )


def broken(path: Path, out: Path) -> None:
    """A model whose logits leave float16: rounding makes them useless."""
    model = load_model(path / "weights.safetensors")
    with torch.no_grad():
        model.head.weight.mul_(1e7)
    digest = save(model, out / "weights.safetensors")
    record = json.loads((path / "training.json").read_text())
    (out / "training.json").write_text(json.dumps(record | {"weights_digest": digest}))


def test_half_precision_that_costs_decisions_is_not_used(trained, toy, tmp_path: Path) -> None:
    broken(trained["adversarial"], tmp_path / "run")
    rows = {"defended": trained["defended"], "adversarial": tmp_path / "run"}
    packed = pack("toy", rows, tmp_path, toy, render_card)
    told = packed.manifest["rows"]["adversarial"]["precision"]
    assert not told["half"]
    assert told["difference"] is None
    assert told["equal"] < 1
    own = load_model(tmp_path / "run" / "weights.safetensors")
    assert weights_digest(packed.load("adversarial")) == weights_digest(own)


@pytest.mark.parametrize("row", ["purifier", "standard", "defended", "input-noise"])
def test_a_model_agrees_with_itself_and_not_with_another(row: str, package, toy) -> None:
    model, other = package.load(row), package.load(row)
    same = appraise(model, other, toy)
    assert (same.half, same.equal, same.difference) == (True, 1, 0)
    assert same.trained == same.rounded
    source = generator(0, "stir")
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.3 * normal(parameter.shape, source))
    apart = appraise(model, other, toy)
    assert not apart.half
    assert apart.equal < 1


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (
            {"teapot": "purifier"},
            UnknownNameError,
            "teapot.*certified, certified-adversarial, certified-half, control",
        ),
        ({"defended": None}, ConfigError, "one has to be 'defended'"),
        ({"defended": "nothing"}, CheckpointError, "nothing.*alp train"),
    ],
)
def test_rows_that_make_no_package(trained, toy, tmp_path, change, error, said) -> None:
    rows = {**trained, **{row: trained.get(name, Path(f"{name}")) for row, name in change.items()}}
    rows = {row: path for row, path in rows.items() if path != Path("None")}
    with pytest.raises(error, match=said):
        pack("toy", rows, tmp_path, toy, render_card)
    assert not list(tmp_path.iterdir())


def test_weights_of_another_training_are_refused(trained, toy, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for name, row in (("weights.safetensors", "adversarial"), ("training.json", "standard")):
        (folder / name).write_bytes((trained[row] / name).read_bytes())
    with pytest.raises(CheckpointError, match="train again"):
        pack("toy", {"defended": folder}, tmp_path / "out", toy, render_card)


def test_a_package_over_its_limit_is_refused(trained, toy, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(packaged_module.OFFERS, "toy", Offer(100_000, "nothing"))
    with pytest.raises(ConfigError, match=r"limit is 100,000.*adversarial\.safetensors 1"):
        pack("toy", trained, tmp_path, toy, render_card)
    assert not list(tmp_path.iterdir())


def digests(package, trained, row: str) -> tuple[str, str]:
    """Of a row as packaged, and as trained."""
    record = json.loads((trained[row] / "training.json").read_text())
    return package.manifest["rows"][row]["digest"], record["weights_digest"]


@pytest.fixture
def judged(package, trained, toy, verdict, tmp_path: Path):
    """A package with verdicts, and those of its defended and its adversarial row."""
    packaged, _ = digests(package, trained, "defended")
    _, unrounded = digests(package, trained, "adversarial")
    mine, other = verdict(packaged, 40, draws=3), verdict(unrounded, 36)
    quick, foreign = verdict(packaged, 50, draws=3, suite="quick"), verdict("foreign", 99)
    with pytest.warns(UserWarning, match="left out") as told:
        made = pack(
            "toy", trained, tmp_path, toy, render_card, records=[quick, foreign, mine, other]
        )
    assert len(told) == 1
    return made, mine, other


def test_a_record_finds_its_row_by_its_digest(judged) -> None:
    package, *_ = judged
    rows = package.manifest["rows"]
    mine, quick = rows["defended"]["evaluation"]["verdicts"]
    (other,) = rows["adversarial"]["evaluation"]["verdicts"]
    assert (mine["suite"], mine["worst"]["value"], mine["as_packaged"]) == ("standard", 0.4, True)
    assert (quick["suite"], quick["worst"]["value"]) == ("quick", 0.5)
    assert (other["worst"]["value"], other["as_packaged"]) == (0.36, False)
    nothing = {"verdicts": [], "protocols": [], "certificates": []}
    assert rows["standard"]["evaluation"] == nothing


def test_what_the_purifier_adds_is_paired(judged) -> None:
    package, mine, other = judged
    (told,) = package.manifest["differences"]
    value, interval = paired_difference(robust_share(mine), robust_share(other))
    assert (told["row"], told["against"], told["suite"]) == ("defended", "adversarial", "standard")
    assert told["value"] == value == pytest.approx(0.04)
    assert (told["low"], told["high"]) == (interval.low, interval.high)


def test_other_draws_are_another_model(package, trained, toy, verdict, tmp_path) -> None:
    packaged, _ = digests(package, trained, "defended")
    with pytest.warns(UserWarning, match="number of draws"):
        made = pack("toy", trained, tmp_path, toy, render_card, records=[verdict(packaged, 9, 20)])
    assert not made.manifest["rows"]["defended"]["evaluation"]["verdicts"]


def test_a_record_of_another_kind_is_refused(trained, toy, verdict, tmp_path) -> None:
    record = verdict("x", 1)
    other = Record(record.header | {"kind": "latency"}, record.columns)
    with pytest.raises(RecordError, match="latency"):
        pack("toy", trained, tmp_path, toy, render_card, records=[other])


def test_the_card_says_what_the_manifest_says(judged) -> None:
    package, *_ = judged
    card = (package.folder / "README.md").read_text()
    text = card.replace("\u202f", " ")
    for row, each in package.manifest["rows"].items():
        assert f"| `{row}` | {each['title']} | {each['parameters']:,} |" in text
    assert re.search(
        r"A-ALP \+ AT \| 80\.0 % \| 40\.0 % \| \*\*40\.0 %\*\* \(\d+\.\d.\d+\.\d\)", text
    )
    assert "AT (before rounding) | 80.0 %" in text
    assert re.search(r"over AT: \+4\.0 \([-+]\d+\.\d to \+\d+\.\d\), 100 images", text)
    assert "**FAILED**, null: luck suspected" in text
    assert "warning: mind" in text
    assert "`eot`: Averages." in text
    assert text.index("suite `standard`") < text.index("suite `quick`")


def test_the_hub_reads_the_card(judged) -> None:
    package, *_ = judged
    card = ModelCard.load(package.folder / "README.md")
    assert (card.data.license, card.data.library_name) == ("mit", "alp")
    assert card.data.datasets == ["uoft-cs/cifar10"]
    values = [result.metric_value for result in card.data.eval_results]
    assert values == [0.8, 0.4, 0.8, 0.5]


def test_a_card_without_an_evaluation_says_so(package) -> None:
    card = (package.folder / "README.md").read_text()
    assert "No adaptive evaluation" in card
    assert "model-index" not in card
    assert ModelCard(card).data.eval_results is None


def test_the_card_of_a_protocol(judged, trained, toy) -> None:
    """Of the paper's protocol, as the records' summary has it."""
    package, *_ = judged
    manifest = json.loads(json.dumps(dict(package.manifest)))
    share = {"value": 0.5, "low": 0.4, "high": 0.6}
    manifest["rows"]["defended"]["evaluation"]["protocols"] = [
        {"images": 7, "clean": share, "robust": {"single": share}, "as_packaged": True,
         "attack": {"name": "pgd", "steps": 7}, "threat": {"name": "linf", "eps": 8 / 255}}
    ]  # fmt: skip
    text = render_card(manifest).replace("\u202f", " ")
    assert "| A-ALP + AT | 7 | PGD: 7 steps | 50.0 % | `single` 50.0 % (40.0\u201360.0) |" in text
    assert open_package(package.folder).folder == package.folder
    assert replace(package).load("standard") is not load(package.folder / "standard")


def test_a_row_is_put_onto_a_package_that_stays_as_it_is(
    package, trained, toy, tmp_path: Path
) -> None:
    """Also where the trainings of its rows are gone."""
    guard = tmp_path / "guard"
    guard.mkdir()
    weights = trained["purifier"] / "weights.safetensors"
    (guard / weights.name).write_bytes(weights.read_bytes())
    record = json.loads((trained["purifier"] / "training.json").read_text())
    parents = {"classifier": package.manifest["rows"]["standard"]["digest"]}
    (guard / "training.json").write_text(
        json.dumps(record | {"stage": "GuardStage", "parents": parents})
    )
    found = pack("toy", {"guard": guard}, tmp_path, toy, render_card, onto=package)
    rows = dict(found.manifest["rows"])
    made = rows.pop("guard")
    assert rows == package.manifest["rows"]
    assert found.manifest["default"] == package.manifest["default"]
    assert found.manifest["differences"] == package.manifest["differences"]
    assert made["files"]["classifier"] == rows["standard"]["files"]["model"]
    assert made["draws"] == 1
    assert made["sigma"] == 0
    model = found.load("guard")
    assert weights_digest(model.classifier) == parents["classifier"]
    again = pack("toy", {"guard": guard}, tmp_path, toy, render_card, onto=found)
    assert again.manifest == found.manifest


@pytest.mark.parametrize(
    ("row", "stays"), [("standard", True), ("adversarial", False), ("defended", False)]
)
def test_what_was_said_of_a_row_goes_with_its_weights(
    judged, trained, toy, tmp_path: Path, row: str, stays: bool
) -> None:
    """The one difference is between defended and adversarial."""
    package, *_ = judged
    (before,) = package.manifest["differences"]
    again = pack("toy", {row: trained[row]}, tmp_path, toy, render_card, onto=package)
    assert again.manifest["differences"] == ([before] if stays else [])
    assert again.manifest["rows"][row]["evaluation"]["verdicts"] == []


def test_a_guard_without_its_classifier_is_refused(package, trained, toy, tmp_path: Path) -> None:
    record = json.loads((trained["purifier"] / "training.json").read_text())
    changed = record | {"stage": "GuardStage", "parents": {"classifier": "0123456789abcdef"}}
    weights = (trained["purifier"] / "weights.safetensors").read_bytes()
    (tmp_path / "weights.safetensors").write_bytes(weights)
    (tmp_path / "training.json").write_text(json.dumps(changed))
    with pytest.raises(CheckpointError, match=r"digest 0123456789ab, which is in no row"):
        pack("toy", {"guard": tmp_path}, tmp_path / "out", toy, render_card, onto=package)

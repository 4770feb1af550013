"""``alp protect``: one command from a classifier and pictures to a judged defence."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

import alp as library
from alp.cli import settings_of
from alp.cli.protect import NEEDS, Settings, commands, later, opened, seconds
from alp.cli.settings import parse
from alp.errors import ConfigError
from alp.protection import NAMES, Plan, Training, assemble
from alp.records import read
from alp.report.protected import page

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def protection(weights, pictures, tmp_path_factory) -> Path:
    """A finished protection in no time: with certificates, but without checks."""
    from alp.cli import main

    out = tmp_path_factory.mktemp("protect") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alp.protection.plan.LEFT_OUT", 1e9)
        assert main(line(weights, pictures, out)) == 0
    return out


def line(weights, pictures, out: Path, *more: str) -> list[str]:
    start = ["--purifier", str(weights.purifier), "--budget", "1s", "--draws", "2"]
    return ["protect", str(weights.classifier), str(pictures), "--out", str(out), *start, *more]


def test_everything_is_there(protection: Path) -> None:
    model = library.load(protection / "defended.safetensors")
    assert isinstance(model, library.Defended)
    assert model.draws == 2
    assert not library.load(protection / "noiseless.safetensors").stochastic
    assert (protection / "exported" / "export.json").exists()
    steps = {path.stem for path in (protection / "steps").iterdir()}
    assert steps == {"purifier", "defence", "judge", "certify", "export", "bench"}


def test_the_classifier_is_not_changed(protection: Path, weights) -> None:
    kept = library.load(weights.classifier).state_dict()
    inside = library.load(protection / "defended.safetensors").classifier.state_dict()
    assert all(inside[name].equal(value) for name, value in kept.items())


def test_again_it_is_done_at_once_and_says_the_same(alp, weights, pictures, protection) -> None:
    before = (protection / "README.md").read_text()
    told = alp(*line(weights, pictures, protection, "--json"))
    assert told.status == 0
    assert "is the budget" not in told.err  # nothing is left that takes time
    assert (protection / "README.md").read_text() == before
    facts = json.loads(told.out)
    assert facts["page"] == str(protection / "README.md")
    assert page(facts) == before  # from the numbers alone


def test_the_first_sentence_says_the_worth(protection: Path) -> None:
    text = (protection / "README.md").read_text()
    first = text.split("\n\n")[1]
    for part in ("holds its weights", "can only ask", "proved", "without the defence"):
        assert part in first


def test_the_page_compares_the_plan_with_what_was_taken(protection: Path) -> None:
    text = (protection / "README.md").read_text()
    rows = text.split("## How long it took")[1]
    for name in ("reading and measuring", *NAMES, "**all**"):
        assert f"| {name} |" in rows
    assert "0.0 min asked" in rows
    assert "It took longer than was asked for" in rows


def test_the_checks_that_were_left_out_are_a_command(alp, protection: Path) -> None:
    text = (protection / "README.md").read_text()
    assert "**The checks of the attacks were left out" in text
    assert "No check looked at whether the attacks work" in text
    assert "checks of the attacks passed" not in text
    command = text.split("```sh\n")[1].split("\n```")[0]
    assert "--suite quick" in command
    assert alp(*shlex.split(command)[1:]).status == 0
    record = read(protection / "checked" / "records" / "defended")
    assert record.header["suite"] == "quick"


def test_certificates_that_were_left_out_are_a_command(alp, weights, pictures, protection) -> None:
    settings = parse("protect", Settings, line(weights, pictures, protection)[1:])
    without = Plan(Training(8, 1.0), Training(8, 1.0), 0, 128, 2)
    found = later(settings, without, None)
    assert set(found) == {"certify"}
    certify = settings_of(*found["certify"])
    assert (certify.images, certify.budget, certify.radii) == (4, 512, (0.0, 0.06, 0.12))
    facts = json.loads(alp(*line(weights, pictures, protection, "--json")).out)
    left = {"certify": {"command": ["alp", *found["certify"]], "seconds": 600.0}}
    text = page({**facts, "certified": None, "left_out": left})
    assert "nothing is proved of any picture.**" in text.split("\n\n")[1]
    assert "about 10.0 min here" in text
    assert f"```sh\n{shlex.join(['alp', *found['certify']])}\n```" in text
    assert "checks of the attacks were left out" not in text


def test_each_step_is_a_command_of_its_own(alp, protection: Path) -> None:
    """Run again, the commands of the page find their work done, or do it once more."""
    block = (protection / "README.md").read_text().split("```sh\n")[-1].split("```")[0]
    for command in block.splitlines():
        assert command.startswith("alp ")
        if command.split()[1] not in ("bench", "export"):
            assert alp(*shlex.split(command)[1:]).status == 0, command


def test_another_protection_needs_another_folder(alp, weights, pictures, protection) -> None:
    told = alp(*line(weights, pictures, protection, "--eps", "2/255"))
    assert told.status == 1
    assert "another eps" in told.err


CODE = """
from torch import nn


def make():
    pooled = nn.AdaptiveAvgPool2d(2)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), pooled, nn.Flatten(), nn.Linear(32, 3))
"""


@pytest.mark.parametrize("code", [False, True], ids=["weights", "code"])
def test_a_classifier_may_be_retrained_behind_it(alp, weights, pictures, tmp_path, code) -> None:
    """The step that is another one then: adversarial training of the classifier."""
    (tmp_path / "net.py").write_text(CODE)
    classifier = f"{tmp_path / 'net.py'}:make" if code else str(weights.classifier)
    arguments = line(weights, pictures, tmp_path / "out", "--retrain", "classifier")[2:]
    settings = parse("protect", Settings, [classifier, *arguments])
    epoch = Training(32, 1.0)
    steps = commands(settings, Plan(epoch, epoch, 2, 100, 2), None)
    assert list(steps) == ["purifier", "defence", "export", "bench", "certify", "judge"]
    for name in ("purifier", "defence"):
        assert alp(*steps[name]).status == 0
    before = library.load(classifier)
    kept = {name: value.clone() for name, value in before.state_dict().items()}
    trained = opened(tmp_path / "out" / "defence" / "weights.safetensors", Path(classifier))
    assemble(tmp_path / "out", Path(trained), before, 2)
    made = library.load(opened(tmp_path / "out" / "defended.safetensors", Path(classifier)))
    inside = made.classifier.state_dict()
    assert not all(inside[name].equal(value) for name, value in kept.items())


def test_a_purifier_stands_before_any_classifier_by_a_reference(weights, tmp_path) -> None:
    front = library.load(weights.purifier)
    library.save(library.defend(library.load(weights.classifier), front), tmp_path / "defended")
    other = library.load(f"{weights.purifier},classifier={tmp_path / 'defended'}")
    assert not isinstance(other.classifier, library.Defended)
    model = library.load(f"{weights.purifier},classifier={weights.classifier}")
    assert isinstance(model, library.Defended)
    with pytest.raises(ConfigError, match="has a classifier already"):
        library.load(f"cifar10-lite,classifier={weights.classifier}")


@pytest.mark.parametrize(("text", "wanted"), [("90s", 90), ("30m", 1800), ("1.5h", 5400)])
def test_a_budget_is_a_time(text: str, wanted: float) -> None:
    assert seconds(text) == wanted


@pytest.mark.parametrize("text", ["", "30", "0m", "m", "-3m", "3 d"])
def test_a_budget_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match="90s, 30m or 2h"):
        seconds(text)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--budget", "0"), "the budget is '0'; give a time such as 90s, 30m or 2h"),
        (("--eps", "2"), "eps is 2.0; give a finite number from 0 to 1"),
        (("--draws", "0"), "draws is 0; give a finite number above zero"),
        (("--size", "0"), "size is 0; give a whole number from 1 to"),
    ],
)
def test_a_setting_out_of_range(alp, weights, pictures, tmp_path, more, said: str) -> None:
    told = alp(*line(weights, pictures, tmp_path, *more))
    assert told.status == 1
    assert f"error: {said}" in told.err


def test_pictures_of_other_classes_are_refused_before_anything_is_measured(
    alp, weights, pictures, tmp_path
) -> None:
    shutil.copytree(pictures, tmp_path / "two")
    shutil.rmtree(tmp_path / "two" / "grey")
    told = alp(*line(weights, tmp_path / "two", tmp_path / "out"))
    assert told.status == 1
    assert "the model tells 3 classes apart (dark, grey, light), and two has 2" in told.err
    assert "measuring" not in told.err


def test_a_classifier_that_gives_answers_only_is_refused(alp, pictures, tmp_path) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3)).eval()
    torch.onnx.export(net, (torch.rand(2, 3, 16, 16),), tmp_path / "net.onnx", dynamo=True)
    told = alp("protect", tmp_path / "net.onnx", pictures, "--out", tmp_path / "out")
    assert told.status == 1
    assert "net.onnx has no gradient" in told.err


def test_a_defence_that_draws_noise_is_no_classifier_to_protect(
    alp, weights, pictures, tmp_path
) -> None:
    noisy = library.defend(library.load(weights.classifier), library.load(weights.purifier))
    library.save(noisy, tmp_path / "noisy.safetensors")
    told = alp("protect", tmp_path / "noisy.safetensors", pictures, "--out", tmp_path / "out")
    assert told.status == 1
    assert "is a defence already, one that draws noise of its own (Defended); give the" in told.err


def test_what_is_not_installed_is_told_at_once(
    alp, weights, pictures, tmp_path, monkeypatch
) -> None:
    monkeypatch.setitem(NEEDS, "no_such_library", "onnx")
    told = alp(*line(weights, pictures, tmp_path))
    assert told.status == 1
    assert 'protect needs no_such_library, which is not installed: pip install -e ".[onnx]"' in (
        told.err
    )

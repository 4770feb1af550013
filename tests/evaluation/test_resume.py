from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from alp import seeding
from alp.attacks import FGSM, PGD, Linf
from alp.errors import ConfigError
from alp.evaluation import About, PaperProtocol, evaluate
from alp.records import write

ABOUT = About("toy", draws=4, sigma=0.05, weights={"classifier": "ab"})


class Killed(BaseException):
    """Nothing catches it: what a kill looks like from inside."""


def _evaluate(defence, images, folder, kill_after=None, attack=PGD(steps=2), **options):  # noqa: B008
    def progress(what, done, total):
        if round(len(images) * done / total) == kill_after:
            raise Killed

    settings = {"about": ABOUT, "seed": 0, "batch_size": 10, **options}
    return evaluate(
        defence,
        images,
        Linf(0.01),
        PaperProtocol(attack, ("oblivious", "single")),
        progress=progress,
        resume=folder,
        **settings,
    )


def test_a_killed_evaluation_goes_on_to_the_identical_files(defended, images, tmp_path):
    whole = write(_evaluate(defended, images, None), tmp_path / "whole")
    with pytest.raises(Killed):
        _evaluate(defended, images, tmp_path / "resume", kill_after=30)
    assert len(list((tmp_path / "resume").glob("unit00-*.parquet"))) == 3
    defended.seeds.clear()
    resumed = write(_evaluate(defended, images, tmp_path / "resume"), tmp_path / "resumed")
    assert len(defended.seeds["purify"]) == 2, "three of five batches were done"
    assert resumed.read_bytes() == whole.read_bytes()
    parquet = [path.with_suffix(".parquet").read_bytes() for path in (whole, resumed)]
    assert parquet[0] == parquet[1]


def test_a_finished_evaluation_computes_nothing_again(defended, images, tmp_path):
    first = _evaluate(defended, images, tmp_path)
    defended.seeds.clear()
    assert _evaluate(defended, images, tmp_path).same(first)
    assert set(defended.seeds) == {"predict", "logits"}, "it is asked what it is, and no more"
    assert defended.seeds["predict"] == [seeding.derive(0, "classes")]
    probes = {seeding.derive(0, purpose) for purpose in ("rates", "repeat", "shared", "memory")}
    assert set(defended.seeds["logits"]) == probes


def test_a_record_shares_no_memory_with_the_images(defended, images):
    """Torch moves tensors that it sends to a worker: the labels of earlier records were lost."""
    record = _evaluate(defended, images, None)
    assert not np.shares_memory(record.columns["label"], images.labels.numpy())


def _stopped(defended, images, folder, calls, **options):
    """An evaluation that ends at one of the calls of its target."""
    left, logits = calls, type(defended).logits

    def stopping(self, x, source, draws=1):
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        return logits(self, x, source, draws)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(defended), "logits", stopping)
        with pytest.raises(Killed):
            _evaluate(defended, images, folder, **options)


def test_a_batch_that_was_begun_goes_on_from_its_last_step(defended, images, tmp_path):
    options = {"attack": PGD(steps=40), "batch_size": len(images)}
    whole = _evaluate(defended, images, tmp_path / "whole", **options)
    calls = len(defended.seeds["logits"])
    _stopped(defended, images, tmp_path / "cut", 40, **options)
    (begun,) = (tmp_path / "cut").glob("*.begun")
    defended.seeds.clear()
    assert _evaluate(defended, images, tmp_path / "cut", **options).same(whole)
    assert len(defended.seeds["logits"]) < calls - 20
    assert not begun.exists()


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_beginning_is_done_again(defended, images, tmp_path, damage):
    options = {"attack": PGD(steps=40), "batch_size": len(images)}
    whole = _evaluate(defended, images, tmp_path / "whole", **options)
    _stopped(defended, images, tmp_path / "cut", 40, **options)
    (begun,) = (tmp_path / "cut").glob("*.begun")
    raw = bytearray(begun.read_bytes())
    raw[len(raw) // 2] ^= 1
    begun.write_bytes({"flip": raw, "cut": raw[:-9], "empty": b""}[damage])
    assert _evaluate(defended, images, tmp_path / "cut", **options).same(whole)


@pytest.mark.parametrize("damage", ["flip", "cut", "swap"])
def test_a_damaged_batch_is_computed_again(defended, images, tmp_path, damage):
    first = _evaluate(defended, images, tmp_path)
    path, other = sorted(tmp_path.glob("unit00-*.parquet"))[:2]
    raw = bytearray(path.read_bytes())
    if damage == "flip":
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)
    elif damage == "cut":
        path.write_bytes(raw[:10])
    else:
        path.unlink()
        shutil.copy(other, tmp_path / other.name.replace("unit00-000001", "unit00-000000"))
    defended.seeds.clear()
    assert _evaluate(defended, images, tmp_path).same(first)
    assert len(defended.seeds["purify"]) == 1


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"seed": 1}, "seed"),
        ({"batch_size": 20}, "batch_size"),
        ({"attack": FGSM()}, "attack"),
        ({"about": replace(ABOUT, weights={"classifier": "cd"})}, "weights"),
        ({"about": replace(ABOUT, sigma=0.1)}, "sigma"),
    ],
)
def test_the_folder_of_another_evaluation_is_refused(defended, images, tmp_path, change, differs):
    with pytest.raises(Killed):
        _evaluate(defended, images, tmp_path, kill_after=10)
    with pytest.raises(ConfigError, match=rf"another evaluation \(differs in: {differs}\)"):
        _evaluate(defended, images, tmp_path, **change)


@pytest.mark.parametrize(("first", "second"), [("1", "2"), ("2", "1")])
def test_the_folder_of_the_other_seeding_is_refused(
    defended, images, tmp_path, monkeypatch, first, second
):
    monkeypatch.setenv("ALP_SEEDING", first)
    with pytest.raises(Killed):
        _evaluate(defended, images, tmp_path / "cut", kill_after=30)
    monkeypatch.setenv("ALP_SEEDING", second)
    with pytest.raises(ConfigError, match=f"set ALP_SEEDING={first} to go on"):
        _evaluate(defended, images, tmp_path / "cut")
    other = _evaluate(defended, images, None)
    monkeypatch.setenv("ALP_SEEDING", first)
    resumed = _evaluate(defended, images, tmp_path / "cut")
    assert resumed.header.get("seeding") == {"1": None, "2": 2}[first]
    assert resumed.same(_evaluate(defended, images, None))
    assert resumed.columns["psnr"].tolist() != other.columns["psnr"].tolist()


def test_a_batch_of_another_evaluation_is_not_taken(defended, images, tmp_path):
    _evaluate(defended, images, tmp_path / "a", seed=1)
    (tmp_path / "a" / "configuration.json").unlink()
    found = _evaluate(defended, images, tmp_path / "a")
    assert found.same(_evaluate(defended, images, None))


def test_latency_differs_from_run_to_run_and_refuses_nothing(defended, images, tmp_path):
    first = _evaluate(defended, images, tmp_path)
    timed = replace(ABOUT, latency={"predict": {"median_ms": 1.5}})
    second = _evaluate(defended, images, tmp_path, about=timed)
    assert second.header["latency"] == {"predict": {"median_ms": 1.5}}
    assert second.columns["psnr"].tolist() == first.columns["psnr"].tolist()


@pytest.mark.parametrize("text", ["", "[]", '{"seed": 0', "\xff"])
def test_a_damaged_configuration_is_refused(defended, images, tmp_path, text):
    (tmp_path / "configuration.json").write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match="cannot be read"):
        _evaluate(defended, images, tmp_path)


def test_results_without_the_weights_digest_are_not_kept(defended, images, tmp_path):
    with pytest.raises(ConfigError, match="digests of the weights"):
        _evaluate(defended, images, tmp_path, about=About("toy"))

"""A whole run of a tiny model: what the record holds, and what is made from it alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import alp
from alp.bench.published import PUBLISHED
from alp.bench.roofline import PRODUCTS, product
from alp.bench.run import (
    DIFFUSION,
    baseline_entry,
    baseline_names,
    baselines_before,
    batches,
)
from alp.cli import main
from alp.defences import Defended
from alp.defences.assemble import made_of
from alp.defences.base import Defence
from alp.defences.checkpoint import save
from alp.defences.magnet import MagNet
from alp.defences.transforms import JPEG
from alp.errors import CheckpointError, ConfigError, UnknownNameError
from alp.records import read, write
from alp.records.timings import rows
from alp.report.figures.speed import write_plot


def test_record(run_bench, new_classifier, tmp_path) -> None:
    record = run_bench({"jpeg": JPEG(new_classifier())}, batches=(2, 1))
    assert read(write(record, tmp_path / "bench")).same(record)
    found = {(row.batch, row.what, row.backend): row for row in rows(record)}
    engines = {
        (batch, what, "eager") for batch in (1, 2) for what in ("draw", "draws", "consensus")
    }
    assert set(found) == engines | {(1, "peak", ""), (2, "peak", ""), (1, "peer", "jpeg")}
    assert {len(row.series.ms) for row in found.values()} == {4}
    assert {row.threads for row in found.values()} == {1}
    assert {row.precision for row in found.values()} == {"float32"}
    assert found[2, "draws", "eager"].draws == 3
    assert found[2, "draw", "eager"].draws == 1
    flops = record.header["flops"]
    assert found[2, "draws", "eager"].flops == 2 * (flops["encoder"] + 3 * flops["draw"])


def test_a_baseline_that_does_not_exist_is_named_with_those_that_do(new_classifier) -> None:
    with pytest.raises(ConfigError, match=r"the baseline is 'diffpur'; give a defence .*diffpure"):
        baselines_before(new_classifier(), ["diffpur"])
    with pytest.raises(CheckpointError, match="'cifar10-base' are not packaged, it ships as a"):
        baselines_before(new_classifier(), ["cifar10-base"])


def test_baselines_by_diffusion_have_the_packaged_network(new_classifier) -> None:
    trained = alp.load(DIFFUSION).state_dict()
    made = baselines_before(new_classifier(), made_of("classifier", "diffusion"))
    assert {"diffpure", "gdmp", "one-step", "densepure"} <= set(made) <= set(baseline_names())
    for baseline in made.values():
        found = baseline.diffusion.state_dict()
        assert all(torch.equal(found[name], value) for name, value in trained.items())


def test_what_cannot_be_built_is_a_warning_unless_nothing_is_left(run_bench) -> None:
    record = run_bench(precisions=("float32", "int8"))
    (warning,) = record.header["warnings"]
    assert "int8" in warning
    with pytest.raises(ConfigError, match=r"no backend can run: .*int8"):
        run_bench(precisions=("int8",))
    with pytest.raises(UnknownNameError, match="unknown backend 'abacus'"):
        run_bench(backends=("abacus",))


def test_every_round_has_other_images() -> None:
    pool = np.arange(5, dtype=np.float32).reshape(5, 1, 1, 1)
    batch = batches(pool, 3)
    found = [batch(number).ravel().tolist() for number in range(3)]
    assert found == [[0, 1, 2], [3, 4, 0], [1, 2, 3]]


@pytest.mark.parametrize("precision", PRODUCTS)
def test_matrix_products_leave_the_threads_alone(precision: str) -> None:
    before = torch.get_num_threads()
    call, flops = product(precision, before + 1, 64, torch.device("cpu"))
    call(0)
    assert flops == 2 * 64**3
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("suffix", ["svg", "pdf"])
def test_plot_from_the_record_alone(bench_record, tmp_path, suffix: str) -> None:
    path = tmp_path / f"bench.{suffix}"
    write_plot(bench_record, path)
    first = path.read_bytes()
    write_plot(bench_record, path)
    assert path.read_bytes() == first
    if suffix == "svg":
        for text in ("diffpure", "fast float32, all draws", "sequential consensus (fast)"):
            assert text in first.decode()


@pytest.fixture
def weights(new_classifier, new_purifier, tmp_path) -> Path:
    path = tmp_path / "weights.safetensors"
    save(Defended(new_classifier(), new_purifier(), draws=3), path)
    return path


SHORT = ("--data", "shapes", "--rounds", "3", "--backends", "eager", "--threads", "1")
SHORT += ("--consensus.draws", "3", "--batches", "1")


def test_command(weights, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("ALP_CACHE", str(tmp_path / "cache"))
    line = ["bench", str(weights), *SHORT, "--baselines", "median", "--out", str(tmp_path / "out")]
    assert main(line) == 0
    told = capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "bench.json",
        "bench.parquet",
        "bench.svg",
    }
    for text in ("chosen     batch 1, float32: eager on 1 threads", "median", "not timed"):
        assert text in told
    assert "MISSED" in told or "reached" in told
    assert main([*line, "--json", "--baselines", "none"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["what"] for row in told["timings"]} == {"draw", "draws", "consensus", "peak"}
    assert told["chosen"] == [
        {"batch": 1, "precision": "float32", "backend": "eager", "threads": 1}
    ]


def test_all_stands_for_every_defence_with_weights_and_for_none_with_random_ones(
    weights, tmp_path, monkeypatch
) -> None:
    seen: list[list[str]] = []

    def made(classifier: object, names: list[str]) -> dict[str, Defence]:
        seen.append(names)
        return {}

    monkeypatch.setenv("ALP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("alp.bench.run.baselines_before", made)
    line = ["bench", str(weights), *SHORT, "--out", str(tmp_path / "out")]
    assert main(line) == 0
    assert main([*line, "--baselines", "all", "jpeg", "published-diffpure"]) == 0
    assert seen[0] == ["bare", *baseline_names()]
    assert not {*seen[0]} & {*PUBLISHED}
    assert seen[1] == [*seen[0], "published-diffpure"]


def test_the_detectors_of_a_baseline_are_timed_too(new_classifier, new_images, monkeypatch) -> None:
    magnet = MagNet(new_classifier())
    looked: list[int] = []
    monkeypatch.setattr(MagNet, "rejects", lambda self, x: looked.append(len(x)))
    pool = new_images(4, 16, 16).numpy()
    entry = baseline_entry("magnet", magnet, 1, batches(pool, 2), torch.device("cpu"))
    entry.contestant.call(0)
    assert looked == [2]


def test_command_wants_a_defended_classifier(new_classifier, tmp_path, capsys) -> None:
    save(new_classifier(), tmp_path / "plain.safetensors")
    line = ["bench", str(tmp_path / "plain.safetensors"), "--out", str(tmp_path / "out")]
    assert main(line) == 1
    assert "give a defended classifier" in capsys.readouterr().err
    assert main([*line, "--batches", "0"]) == 1
    assert "batches is 0" in capsys.readouterr().err

"""The numbers of README's table of works are those of records; what has no record has none."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from alp.cli import COMMANDS
from alp.experiments import EXPERIMENTS
from alp.records import (
    KIND_CHAINS,
    KIND_POINTS,
    KIND_VERDICT,
    Record,
    conclude,
    measured,
    read,
    read_all,
)
from alp.records.certificates import summarise_certificates
from alp.records.chains import amplification
from alp.records.points import mean
from alp.report.figures.attacks import CLEAN, NAMES, NORMS, Cell, table
from alp.report.figures.robustness_cost import trained_at
from alp.training.recipes import RECIPES

ROOT = Path(__file__).parents[2]
ABSENT = "\u2013"
DEFENCES = ("AT", "A-ALP + AT")
ONLY_L2 = ("C&W", "Boundary")
WORKS = {
    "L-BFGS": "L-BFGS",
    "FGSM": "FGSM",
    "BIM": "BIM",
    "C&W": "C&W",
    "PGD": "PGD",
    "Boundary attack": "Boundary",
}
"""Work to the attack of the table."""


@cache
def rows() -> Mapping[str, tuple[str, str]]:
    """Work to the cells of command and number."""
    text = (ROOT / "README.md").read_text("utf-8")
    part = text[text.index("| work | ") : text.index("## Limits")]
    cells = [[each.strip() for each in line.strip("|").split("|")] for line in part.splitlines()]
    found = {row[0].split(" (")[0]: (row[1], row[2]) for row in cells[2:] if len(row) == 3}
    assert len(found) >= 15
    return found


@cache
def attacks() -> Mapping[str, Mapping[tuple[str, str], Cell]]:
    records, refused = read_all(ROOT / "results" / "cpu" / "attacks" / "records")
    assert not refused
    return table([each for each in records if each.kind == KIND_VERDICT])


def leaderboard(name: str) -> Record:
    return read(ROOT / "results" / "cpu" / "leaderboard" / "records" / f"{name}.json")


@pytest.mark.parametrize("work", WORKS)
def test_an_attack_has_what_it_leaves(work: str) -> None:
    name = WORKS[work]
    norm = "l2" if name in ONLY_L2 else "linf"
    found = attacks().get(name, {})
    expected = ABSENT
    if all((each, norm) in found for each in DEFENCES):
        images = found[DEFENCES[0], norm].images
        clean = next(
            row
            for title, row in attacks().items()
            if title.startswith(CLEAN) and row[DEFENCES[0], norm].images == images
        )
        parts = [
            f"{each} {100 * found[each, norm].accuracy['value']:.1f} % of "
            f"{100 * clean[each, norm].accuracy['value']:.1f}"
            for each in DEFENCES
        ]
        few = ""
        if found["baseline", norm].accuracy == clean["baseline", norm].accuracy:
            few = "; too few steps: it breaks no image of the baseline either"
        expected = f"{', '.join(parts)} ({NORMS[norm]}, {images} images{few})"
    assert rows()[work][1] == expected
    assert name in NAMES.values()


def test_autoattack_has_that_of_its_benchmark() -> None:
    folders = {"AT": "autoattack-adversarial", "A-ALP + AT": "autoattack-defended"}
    records = {
        name: read(ROOT / "results" / "cpu" / folder / "autoattack.json")
        for name, folder in folders.items()
    }
    parts = [f"{name} {100 * conclude(r)['worst']['value']:.1f} %" for name, r in records.items()]
    (images,) = {len(record) for record in records.values()}
    assert rows()["AutoAttack"][1] == f"{', '.join(parts)} (Linf, {images} images)"


@pytest.mark.parametrize(
    ("work", "name"),
    [
        ("MagNet", "magnet"),
        ("HGD", "hgd"),
        ("DiffPure", "diffpure"),
        ("Unified latents", "unified-s4"),
    ],
)
def test_a_defence_has_its_worst_case(work: str, name: str) -> None:
    record = leaderboard(name)
    worst = conclude(record)["worst"]["value"]
    assert rows()[work][1] == f"{100 * worst:.1f} % in the worst case ({len(record)} images)"


def test_smoothing_has_its_certificates() -> None:
    record = read(ROOT / "results/cpu/certificates/records/cifar10-certified.json")
    shares = [row["value"] for row in summarise_certificates(record, [0.25, 0.5])["certified"]]
    words = " and ".join(f"{100 * share:.1f} %" for share in shares)
    assert (
        rows()["Randomised smoothing"][1]
        == f"{words} certified at 0.25 and 0.5 ({len(record):,} images)"
    )


def test_densepure_has_its_certificates() -> None:
    record = read(ROOT / "results/cpu/certificates-densepure/records/densepure.json")
    shares = [row["value"] for row in summarise_certificates(record, [0.25, 0.5])["certified"]]
    words = " and ".join(f"{100 * share:.1f} %" for share in shares)
    found = rows()["DensePure"][1]
    assert found == f"{words} certified at 0.25 and 0.5 ({len(record)} images)"


def of_experiment(item: str) -> list[Record]:
    records, refused = read_all(ROOT / "results" / "cpu" / item / "records")
    assert not refused
    return records


def test_architectures_have_the_most_and_the_least_robust() -> None:
    left = {
        each.name.removesuffix(", adversarial"): mean(point.correct).value
        for each in of_experiment("architectures")
        for point in measured(each)
        if each.header["extra"]["adversarial"] and point.eps == 8 / 255
    }
    assert len(left) == 4
    most, least = max(left, key=left.__getitem__), min(left, key=left.__getitem__)
    words = f"{most} {100 * left[most]:.1f} %, {least} {100 * left[least]:.1f} % at 8/255"
    assert rows()["Robustness of architectures"][1] == f"{words} (small classifiers, AT)"


def test_robustness_has_its_cost() -> None:
    points = [each for each in of_experiment("robustness-cost") if each.kind == KIND_POINTS]
    clean = {eps: shares[0.0].value for eps, shares in trained_at(points).items()}
    words = f"{100 * clean[0.0]:.1f} % clean, trained at 8/255 {100 * clean[8 / 255]:.1f} %"
    assert rows()["Robustness against accuracy"][1] == f"{words} (small classifiers)"


def test_few_bits_have_what_they_do_to_a_chain() -> None:
    records = of_experiment("quantisation")
    psnr = {
        each.name.removeprefix("DiffPure").lstrip(", "): f"{mean(measured(each)[0].psnr).value:.2f}"
        for each in records
        if each.kind == KIND_POINTS
    }
    learned, plain = psnr["w4a8-reconstructed"], psnr["w4a8-minmax"]
    words = f"{learned} dB with four-bit weights, {plain} by plain rounding, {psnr['']} in float"
    assert rows()["Q-Diffusion"][1] == words
    (grown,) = (
        amplification(each, 100)
        for each in records
        if each.kind == KIND_CHAINS
        and each.header["bits"] == [4, 8]
        and each.header["method"] == "reconstructed"
    )
    words = "times what independent errors give, after 100 steps (four-bit weights)"
    assert rows()["Quantisation error"][1] == f"{mean(grown).value:.1f} {words}"


def test_the_commands_are_there() -> None:
    known = {"reproduce": EXPERIMENTS, "train": RECIPES}
    for command, _ in rows().values():
        for call in command.split("`")[1::2]:
            if call.startswith("alp "):
                name, *words = call.split()[1:]
                assert name in COMMANDS
                assert not words or words[0] in known.get(name, words)
            else:
                assert (ROOT / call).exists(), call

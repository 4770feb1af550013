"""Claims of the field's studies beside records, on records made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from made import CIFAR10, IMAGES, found, kept, leaderboard, points

from alp.records import Kept, Record

EPS = 8 / 255


def trained_at(grey: int, clean: float, seed: int) -> Kept:
    cells = [("clean", 0.0, None, clean, 20.0), ("single", EPS, None, 0.1, 20.0)]
    one = points("robustness-cost", cells, trial=seed, extra={"trained_eps": grey / 255})
    return kept(one.record, "robustness-cost", 10 * grey + seed)


@pytest.mark.parametrize(
    ("middle", "smallest", "status"),
    [(0.6, 10, "reproduced"), (0.72, -2, "not reproduced"), (0.48, -2, "not reproduced")],
)
def test_clean_accuracy_has_to_fall_at_every_step_of_the_radius(
    middle: float, smallest: float, status: str
) -> None:
    """Means over the seeds: 70 % without attacks in training, 50 % at the largest radius."""
    records = [trained_at(8, clean, seed) for seed, clean in enumerate((0.4, 0.6))]
    records += [trained_at(0, 0.7, seed) for seed in range(2)]
    one = found([*records, trained_at(4, middle, 0)], "field.tradeoff.radius")
    assert one.status == status
    assert one.findings[0].value == pytest.approx(smallest)
    assert one.findings[0].protocol == "3 radii"
    alone = [trained_at(0, 0.7, 0), points_of_any()]
    assert found(alone, "field.tradeoff.radius").findings == ()


def points_of_any() -> Kept:
    """A record that some claim is about, so that the others are judged too."""
    return points(
        "sweep", [("single", 0.3, s, share, 20.0) for s, share in ((0.0, 0.3), (0.5, 0.4))]
    )


def architecture(kind: str, adversarial: bool, share: float, number: int) -> Kept:
    """Attacked at 8/255; at 1/255 all kinds are left the same."""
    cells = [("single", EPS, None, share, 20.0), ("single", 1 / 255, None, 0.9, 20.0)]
    extra = {"architecture": kind, "adversarial": adversarial, "parameters": 1}
    return points("architectures", cells, trial=number, extra=extra)


def test_the_best_and_the_worst_architecture_are_chosen_on_other_images() -> None:
    shares = {"residual": 0.4, "plain": 0.3, "attention": 0.1}
    records = [
        architecture(kind, True, share, number)
        for number, (kind, share) in enumerate(shares.items())
    ]
    one = found([*records, architecture("plain", False, 0.0, 3)], "field.architectures")
    spans = {each.protocol: (each.value, each.holds) for each in one.findings}
    assert spans == {
        "AT, 8/255": (pytest.approx(30), True),
        "AT, 1/255": (0, False),
    }
    # An architecture that is best on the images of the choice alone gains nothing by it.
    lucky = architecture("attention", True, 0.0, 2)
    name = lucky.record.header["points"][0]["name"]
    lucky.record.columns[f"{name}_correct"][::2] = True
    assert found([records[0], lucky], "field.architectures").findings[0].value == pytest.approx(-40)


def test_architectures_are_compared_at_the_radii_that_all_were_attacked_at() -> None:
    records = [architecture(kind, True, 0.3, n) for n, kind in enumerate(("plain", "attention"))]
    entries = records[1].record.header["points"]
    del entries[1]
    (only,) = found(records, "field.architectures").findings
    assert only.protocol == "AT, 8/255"


def chains(method: str, times: float, number: int) -> Kept:
    spread = np.linspace(-0.1, 0.1, IMAGES)
    columns = {"index": np.arange(IMAGES), "label": np.zeros(IMAGES, int)}
    columns |= {"100_fresh": np.full(IMAGES, 0.02), "100_difference": 0.02 * (times + spread)}
    header = {"kind": "chains", "name": f"DiffPure, w4a8-{method}", "seed": 0, "images": IMAGES}
    header |= {"lengths": ["100"], "followed": 100, "bits": [4, 8], "method": method, **CIFAR10}
    return kept(Record(header, columns), "quantisation", number)


@pytest.mark.parametrize(("times", "status"), [(1.5, "reproduced"), (0.9, "not reproduced")])
def test_an_error_is_amplified_where_it_exceeds_independent_ones(times: float, status: str) -> None:
    one = found([chains("minmax", times, 0)], "field.quantisation-error")
    assert one.status == status
    assert one.findings[0].value == pytest.approx(times)
    assert one.findings[0].protocol == "W4A8, minmax"


def quantised(method: str, psnr: float, left: float, number: int) -> Kept:
    cells = [("clean", 0.0, None, 0.7, psnr), ("single", EPS, None, left, psnr)]
    cells.append(("bpda", EPS, None, left + 0.2, psnr))
    name = "DiffPure" + (f", w4a8-{method}" if method else "")
    return points("quantisation", cells, trial=number, name=name)


@pytest.mark.parametrize(("learned", "status"), [(1.0, "reproduced"), (2.5, "not reproduced")])
def test_learned_rounding_has_to_end_nearer_to_the_float_chain(learned: float, status: str) -> None:
    """Whatever either does to the picture: PSNR to the clean one says nothing of it."""
    records = [quantised("minmax", 24.0, 0.4, 1), quantised("reconstructed", 20.0, 0.2, 2)]
    both = [chains("reconstructed", learned, 3), chains("minmax", 2.0, 4)]
    (nearer,) = found([*records, *both], "field.q-diffusion").findings
    assert nearer.value == pytest.approx(20 * np.log10(2 / learned), abs=0.05)
    assert nearer.protocol == "100 steps"
    assert nearer.holds is (status == "reproduced")


def test_few_bits_protect_where_more_is_left_of_an_attack() -> None:
    records = [quantised("", 26.0, 0.3, 0), quantised("reconstructed", 25.5, 0.2, 2)]
    known, blind = found(records, "field.quantisation.protects").findings
    assert (known.protocol, blind.protocol) == ("single", "bpda")
    assert known.value == blind.value == pytest.approx(-10), "each beside the same attacker"
    assert not known.holds


def test_defences_are_compared_on_the_most_images_that_they_share() -> None:
    """Whatever folders the records are in."""
    few, many = slice(0, 10), slice(None)

    def judged(name: str, left: float, images: slice, folder: str) -> Kept:
        record = leaderboard(name, {"single": left}, 0).record
        columns = {key: column[images] for key, column in record.columns.items()}
        return Kept(f"{folder}/records/{name}.json", Record(record.header, columns))

    bare = [judged("cifar10-lite-standard", 0.0, images, str(images)) for images in (few, many)]
    ours = judged("diffpure", 0.4, many, str(many))
    short = judged("diffpure", 1.0, few, str(few))
    (worst, single) = found([*bare, short, ours], "field.diffpure").findings
    assert (single.protocol, single.value) == ("single", pytest.approx(40))
    assert worst.protocol == "worst case"
    (_, single) = found([*bare, short], "field.diffpure").findings
    assert single.value == pytest.approx(100)
    # Records of more and of fewer images are compared on what both have.
    ours.record.columns["single_fresh"][:10] = 2
    (_, single) = found([bare[0], ours], "field.diffpure").findings
    assert single.value == pytest.approx(100)
    other = judged("cifar10-lite-standard", 0.0, many, "")
    other.record.header["data"] = {"name": "cifar10", "split": "validation"}
    assert found([other, ours, points_of_any()], "field.diffpure").findings == ()


@pytest.mark.parametrize(("left", "status"), [(0.3, "reproduced"), (0.8, "not reproduced")])
def test_decisions_alone_take_what_the_best_of_their_attackers_takes(
    left: float, status: str
) -> None:
    """Of 80 % clean after 1,000 answers, chosen by predictions that do not judge. Attackers who see
    scores or start from another model are stronger here, and others ask longer."""
    attackers = [
        {"name": name, "label": name, "answers": 1, "sees": sees, "surrogate": start}
        for name, sees, start in (
            ("rays", "labels", ""), ("weak", "labels", ""), ("square", "scores", ""),
            ("copy", "labels", "other"),
        )
    ]  # fmt: skip
    shares = {"weak": (0.85, 0.0), "rays": (left, left), "square": (0.0, 0.0), "copy": (0.0, 0.0)}

    def asked(marks: list[int], images: int, name: str, number: int) -> Kept:
        right = 2 * (np.arange(images) < 0.8 * images)
        columns = {"index": np.arange(images), "clean_select": right, "clean_fresh": right}
        for attacker, ends in shares.items():
            for mark in marks:
                for part, share in zip(("select", "fresh"), ends, strict=True):
                    attacked = 2 * (np.arange(images) < share * images)
                    columns[f"{attacker} {mark}_{part}"] = attacked if mark == 1000 else right
        header = {"kind": "queries", "name": name, "checkpoints": marks, "evaluations": 2}
        header |= {"attackers": attackers, "threat": {"name": "linf"}, **CIFAR10}
        return kept(Record(header, columns), "", number, "queries")

    records = [asked([0, 1000], IMAGES, "cifar10-lite-standard", 0)]
    records.append(asked([0, 1000], 10, "cifar10-lite-standard", 1))
    records.append(asked([0, 100], IMAGES + 50, "cifar10-lite-standard", 2))
    one = found([*records, asked([0, 1000], IMAGES + 50, "other", 3)], "field.boundary")
    assert one.status == status
    (finding,) = one.findings
    assert finding.protocol == "linf, rays, 1,000 answers"
    assert finding.value == pytest.approx(80 - 100 * left)
    assert finding.records == ("queries/records/0.json",)

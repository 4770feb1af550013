"""Every number among the README's results is that of a record, or a term of its protocol."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

import numpy as np
import pytest
from defences_quoted import autoattack, proofs, queries, speed, verdicts, worth
from paper_quoted import bottlenecks, hierarchy, limits, page, trained_sweep, widths
from quoted import ROOT, TRIALS, of, per_cent, record

TERMS = {
    "certificates": "cifar10 cifar10 cifar10 cifar10 L2 1,000 0.001 8/255 bfloat16 bfloat16 55 2",
    "data and images": "64 100 200 256 cifar10 10 512 512 512 1,000 150 512 128",
    "models": "cifar10 cifar10 cifar10",
    "threats": "8/255 8/255 8/255 7 2/255",
    "confidence": "95 95 95 95",
    "precisions": "bfloat16 bfloat16 bfloat16 bfloat16 float32 float32 float32 int8 int8",
    "an error of about so many points": "3",
    "the paper": "0.219 0.5 11.1",
    "latents and a picture": "512 64 64x4x4 1,024 4,096 3,072 16 8x8 64x4x4",
    "bounds of the latent": "1 1",
    "draws and steps": "20 4 1 20 100",
    "the sweep": "0.3 0.5",
}
"""What is no measurement of a record."""


PARTS = (
    limits,
    verdicts,
    worth,
    hierarchy,
    page,
    bottlenecks,
    widths,
    trained_sweep,
    proofs,
    queries,
    autoattack,
    speed,
)


@cache
def results() -> str:
    text = (ROOT / "README.md").read_text("utf-8")
    part = text[text.index("## Results") : text.index("## What is where")]
    limits = text[text.index("## Limits") : text.index("The source paper is the one")]
    return " ".join(f"{part} {limits}".split())


@pytest.mark.parametrize("part", PARTS)
def test_it_is_that_of_the_record(part) -> None:
    missing = [words for words in part() if words not in results()]
    assert missing == [], "the README says otherwise"


def test_no_number_stands_without_a_record() -> None:
    text = results()
    for part in PARTS:
        for words in part():
            text = text.replace(words, "", 1)
    left = re.findall(r"\w*\d(?:[\w.,/]*\w)?", text)
    assert Counter(left) == Counter(" ".join(TERMS.values()).split())


def test_what_did_not_work_has_the_sigma_of_the_records() -> None:
    text = " ".join((ROOT / "NEGATIVE_RESULTS.md").read_text("utf-8").split())
    sigmas = [record(f"sigma/records/purifier-{n}").header["sigma"] for n in TRIALS]
    apart = (max(sigmas) - min(sigmas)) / np.mean(sigmas)
    words = f"end at {min(sigmas):.3f} to {max(sigmas):.3f} ({per_cent(apart)} % apart"
    (deviation,) = of("sigma.stable", "5 trials")
    assert f"{words}, standard deviation {deviation:.1f} %)" in text
    starts = [record(f"sigma-starts/records/purifier-from-{n}").header for n in ("0.1", "1")]
    assert (
        "from {} and {} at {:.3f} and {:.3f} (".format(
            *(each["start"] for each in starts), *(each["sigma"] for each in starts)
        )
        in text
    )

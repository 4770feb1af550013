"""The tables of docs/leaderboard.md are those of the committed records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alp.records import Record, conclude, read, read_tree, robust_share
from alp.records.queries import best_attacker, left_by, query_difference
from alp.records.statistics import paired_difference
from alp.report.leaderboard import leaderboards

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results" / "cpu"

ASKED = {
    "cifar10-lite-standalone": "ALP standalone, 1 draw",
    "before-standard": "ALP, 1 draw, classifier as it is",
    "cifar10-lite": "A-ALP + AT, 1 draw",
    "cifar10-lite-adversarial": "adversarial training",
    "noise-025": "classifier trained under noise of 0.25, 1 draw",
    "jpeg": "JPEG, quality 75",
    "cifar10-lite-standard": "no defence",
}
"""Records of attackers who only ask, and what the table calls them."""


LONG = {
    "cifar10-lite-standalone": "ALP standalone, 1 draw: single answers",
    "cifar10-lite-standalone-votes": "ALP standalone, 1 draw: votes of 4 and 8",
    **{name: title for name, title in ASKED.items() if name != "cifar10-lite-standalone"},
}
"""Records of a few attackers with many answers, and what their table calls them."""

PUBLIC = "square x1 from cifar10-lite-standard"
"""An attacker that starts from the public classifier."""


def tables(heading: str) -> list[list[list[str]]]:
    """The tables of a section of the page: rows of cells without marks of code, the headings
    first."""
    text = (ROOT / "docs" / "leaderboard.md").read_text("utf-8")
    section = text[text.index(heading) :].split("\n## ")[0]
    found: list[list[list[str]]] = [[]]
    for line in section.splitlines():
        if line.startswith("| "):
            found[-1].append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
        elif not line.startswith("|---") and found[-1]:
            found.append([])
    return [table for table in found if table]


@pytest.fixture(scope="module")
def board() -> dict[str, Any]:
    """The leaderboard of the page, from all records."""
    kept, refused = read_tree(RESULTS)
    assert not refused
    return next(each for each in leaderboards(kept) if each["threat"].startswith("L∞"))


def row(name: str) -> Record:
    """The record of a row of the leaderboard."""
    return read(RESULTS / "leaderboard" / "records" / f"{name}.json")


def test_every_number_of_the_page_is_that_of_a_record(board: dict[str, Any]) -> None:
    told: set[str] = set()
    for section in ("# The leaderboard", "## What they cost"):
        ((headings, *rows),) = tables(section)
        assert headings[0] == "defence"
        told.update(headings[1:])
        wanted = [
            [row["name"], *(row["cells"][each] for each in headings[1:])] for row in board["rows"]
        ]
        assert rows == wanted
    assert told == {*board["rows"][0]["cells"]} - {"attackers in"}


def test_the_times_are_of_one_benchmark(board: dict[str, Any]) -> None:
    """The one that timed the rows of the table together, MagNet with its detectors."""
    record = read_tree(RESULTS / "bench-field")[0][0].record
    names = {
        about["peer"]: contestant
        for contestant, about in record.header["contestants"].items()
        if about.get("what") == "peer"
    }

    def median(contestant: str) -> float:
        mine = record.columns["contestant"] == contestant
        return float(np.median(record.columns["ms"][mine]))

    (draw,) = (
        contestant
        for contestant, about in record.header["contestants"].items()
        if about.get("what") == "draw"
    )
    words = json.loads((ROOT / "src/alp/report/leaderboard.json").read_text("utf-8"))
    told = {each["name"]: each["cells"]["time, one draw of ours = 1"] for each in board["rows"]}
    for name in ("magnet", "hgd", "jpeg", "diffpure", "tuned-gdmp", "densepure-votes"):
        assert told[words[name]["title"]] == f"{median(names[name]) / median(draw):,.1f}"


def conclusions(folder: str) -> dict[str, dict[str, Any]]:
    """Name to conclusion of the records of a folder."""
    return {each.record.name: conclude(each.record) for each in read_tree(RESULTS / folder)[0]}


def left(curve: Sequence[dict[str, Any]], *marks: int) -> list[str]:
    """What is left at these numbers of queries, in per cent."""
    values = {row["queries"]: row["value"] for row in curve}
    return [f"{100 * values[mark]:.1f}" for mark in marks]


def asked() -> list[list[str]]:
    """The rows of the table of attackers who only ask."""
    rows = []
    found = conclusions("queries")
    for name, title in ASKED.items():
        told = found[name]
        best = told["alone"][-1]
        record = read(RESULTS / "queries" / "records" / f"{name}.json")
        _, by_labels = best_attacker(record, 1000, start="", sees="labels")
        rows.append(
            [
                title,
                f"{100 * told['clean']['value']:.1f}",
                *left(told["alone"], 10, 100),
                within(best),
                f"{best['attacker']}, {best['answers']}",
                f"{100 * by_labels.mean():.1f}",
                *left(told["curve"], 0, 1000),
            ]
        )
    return rows


def within(row: dict[str, Any]) -> str:
    """An accuracy in per cent, with its interval."""
    value, low, high = (100 * row[each] for each in ("value", "low", "high"))
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def asked_for_long() -> list[list[str]]:
    """The rows of the table of many answers."""
    rows = []
    for name, title in LONG.items():
        told = conclude(read(RESULTS / "queries-long" / "records" / f"{name}.json"))
        assert told["queries"] == 10_000
        last = told["curve"][-1]
        sooner = left(told["curve"], 1000, 3000)
        rows.append([title, *sooner, within(last), f"{last['attacker']}, {last['answers']}"])
    return rows


def swept() -> list[list[str]]:
    """The rows of the table over noise levels: two attackers by scores, one by labels."""
    records, labels = (
        {each.record.header["sigma"]: each.record for each in read_tree(RESULTS / folder)[0]}
        for folder in ("queries-sigma", "queries-sigma-labels")
    )
    trained = read(RESULTS / "queries" / "records" / "cifar10-lite-standalone.json")
    records[trained.header["sigma"]] = labels[trained.header["sigma"]] = trained
    assert len({each.header["data_digest"] for each in (*records.values(), *labels.values())}) == 1
    rows = []
    for sigma, record in sorted(records.items()):
        alone = "square once x1" if sigma else "square x1"
        shown = [f"{sigma:.2f}", f"{100 * conclude(record)['clean']['value']:.1f}"]
        for name, mark in ((alone, 100), (alone, 1000), (PUBLIC, 0), (PUBLIC, 1000)):
            shown.append(f"{100 * left_by(record, name, mark)[1].mean():.1f}")
        votes = "rays x4" if sigma else "rays x1"
        shown.insert(4, f"{100 * left_by(labels[sigma], votes, 1000)[1].mean():.1f}")
        rows.append(shown)
    return rows


def more(first: str, second: str, start: str | None = None) -> tuple[str, str, str]:
    """How many more points of ``first`` than of ``second`` are left after 1,000 queries, with the
    ends of its paired interval, signed."""
    paths = (RESULTS / "queries" / "records" / f"{name}.json" for name in (first, second))
    value, (low, high) = query_difference(*(read(path) for path in paths), 1000, start=start)
    return f"{100 * value:+.1f}", f"{100 * low:+.1f}", f"{100 * high:+.1f}"


def taken(label: str, answers: str) -> str:
    """Points that 1,000 answers take from ALP standalone."""
    found = conclusions("queries")["cifar10-lite-standalone"]
    left = found["attackers"][label][answers][-1]
    assert left["queries"] == 1000
    return f"{100 * (found['clean']['value'] - left['value']):.1f}"


def told() -> Iterator[str]:
    """What the section says of attackers who only ask."""
    found, at = conclusions("queries"), "cifar10-lite-adversarial"
    lost = {
        name: f"{100 * (each['clean']['value'] - each['alone'][-1]['value']):.1f}"
        for name, each in found.items()
    }
    yield f"1,000 answers take {lost['cifar10-lite-standard']} points from the classifier without"
    yield f"and {lost['cifar10-lite-standalone']} from ALP standalone"
    for name, words in {
        "cifar10-lite-standalone": "keeps {} points more than adversarial training (paired 95 % "
        "interval {} to {})",
        "cifar10-lite": "A-ALP + AT keeps {} more ({} to {})",
        "noise-025": "without a purifier: {} ({} to {})",
    }.items():
        yield words.format(*(each.lstrip("+") for each in more(name, at, start="")))
    words = "Votes of 4 answers take {} points from ALP standalone, single answers {}."
    yield words.format(taken("rays", "4"), taken("rays", "1"))
    words = "{} points by the mean of 4, {} by single answers"
    yield words.format(taken("square", "4"), taken("square", "1"))
    last = {row[0]: row[3].split(" ")[0] for row in asked_for_long()}
    words = "ALP standalone {} %, a classifier under noise {} % and adversarial training {} %"
    named = ("cifar10-lite-standalone-votes", "noise-025", at)
    yield words.format(*(last[LONG[name]] for name in named))
    yield f"nobody fine-tuned, ALP keeps {last[LONG['before-standard']]} %"
    deployed = read(RESULTS / "queries-deployed" / "records" / "cifar10-lite.json")
    assert deployed.header["draws"] == 20
    end = conclude(deployed)["curve"][-1]
    assert end["queries"] == 1000
    assert end["value"] <= found["cifar10-lite"]["alone"][-1]["value"], "no more than one draw"
    clean = f"{100 * conclude(deployed)['clean']['value']:.1f} %"
    yield f"As it is deployed A-ALP + AT keeps {within(end).replace(' (', ' % (')} of {clean}"
    longest = read(RESULTS / "queries-longest" / "records" / "cifar10-lite-standalone.json")
    end = conclude(longest)["curve"][-1]
    assert end["queries"] == 100_000
    clean = f"{100 * conclude(longest)['clean']['value']:.1f} % clean, on {len(longest)} images"
    value, low, high = (100 * end[each] for each in ("value", "low", "high"))
    yield f"with votes of {end['answers']} leaves ALP standalone {value:.1f} %"
    yield f"({low:.1f} to {high:.1f}) of {clean}"
    less, *ends = more("cifar10-lite-standalone", at)
    yield f"keeps {less.lstrip('-')} points less than adversarial training ({ends[0]} to {ends[1]})"
    assert less.startswith("-")
    gain, *ends = more("cifar10-lite", at)
    yield f"A-ALP + AT {gain.lstrip('+')} more ({ends[0]} to {ends[1]})"
    standalone = read(RESULTS / "queries" / "records" / "cifar10-lite-standalone.json")
    close, copy = (
        float(best_attacker(standalone, 0, start=each)[1].mean())
        for each in ("cifar10-lite-standard", "stolen")
    )
    unmodified = found["before-standard"]["curve"][0]["value"]
    yield f"leaves it {100 * close:.1f} %, and {100 * unmodified:.1f} % where that classifier"
    yield f"what fools the copy leaves {100 * copy:.1f} %"
    assert found["jpeg"]["curve"][1]["value"] == 0, "nothing"
    verdict = conclude(row("cifar10-lite-standalone"))
    left = verdict["levels"]["transfer"]["value"]
    yield f"adversarial training, leaves ALP standalone {100 * left:.1f} %"


SWEPT = ("unified-s1", "unified-s4", "unified-s8", "unified-snr3", "unified-snr1")
CONTROLS = ("control-16", "control-snr", "control-bits")


def unified() -> list[list[str]]:
    """The rows of unified latents and of their controls."""
    words = json.loads((ROOT / "src/alp/report/leaderboard.json").read_text("utf-8"))
    rows = []
    for name in (*SWEPT, *CONTROLS):
        record = row(name)
        told = conclude(record)
        shares = [told["clean"], *(told["levels"][each] for each in ("oblivious", "single"))]
        left, low, high = (100 * told["worst"][each] for each in ("value", "low", "high"))
        rows.append(
            [
                words[name]["title"],
                f"{len(record)}",
                f"{record.columns['psnr'].mean():.1f} dB",
                *(f"{100 * each['value']:.1f}" for each in shares),
                f"{left:.1f} ({low:.1f} to {high:.1f})",
            ]
        )
    return rows


def test_every_number_of_unified_latents_is_that_of_a_record() -> None:
    ((headings, *rows),) = tables("## Unified latents")
    assert headings[2:] == ["PSNR", "clean", "oblivious", "single", "worst case"]
    assert rows == unified()


def test_every_number_of_attackers_who_only_ask_is_that_of_a_record() -> None:
    (headings, *rows), *_ = tables("## Attackers who only ask")
    assert headings[:6] == ["model", "clean", "10 answers", "100", "1,000", "best attacker, k"]
    assert headings[6:] == ["labels alone, 1,000", "all, 0 answers", "all, 1,000"]
    assert rows == asked()
    (headings, *rows) = tables("## Attackers who only ask")[1]
    assert headings == ["model", "1,000 answers", "3,000", "10,000", "attacker, k"]
    assert rows == asked_for_long()
    (headings, *rows) = tables("## Attackers who only ask")[2]
    assert headings[0] == "sigma"
    assert rows == swept()
    text = (ROOT / "docs" / "leaderboard.md").read_text("utf-8")
    text = " ".join(text[text.index("## Attackers who only ask") :].split())
    assert [words for words in told() if words not in text] == []


def test_what_fools_an_unseen_classifier_is_quoted_right() -> None:
    """Of HGD, beside the classifier without it, on the same attacked images."""
    names = ("hgd", "cifar10-lite-standard")
    records = [read(RESULTS / "hgd-unseen" / "records" / f"{name}.json") for name in names]
    (surrogates,) = {tuple(each.header["surrogates"]) for each in records}
    assert surrogates == ("standard-1",)
    left = [f"{100 * conclude(each)['levels']['transfer']['value']:.1f} %" for each in records]
    text = " ".join((ROOT / "docs" / "leaderboard.md").read_text("utf-8").split())
    assert f"leaves it {left[0]}, and the undefended classifier {left[1]} (`results" in text


@pytest.mark.parametrize(
    ("name", "beside", "words"),
    [
        (
            "diffpure",
            "cifar10-lite-adversarial",
            "less than adversarial training on the same images",
        ),
        ("gdmp", "diffpure", "less than DiffPure"),
    ],
)
def test_what_a_chain_is_left_less_is_quoted_right(name: str, beside: str, words: str) -> None:
    value, (low, high) = paired_difference(*(robust_share(row(each)) for each in (beside, name)))
    text = " ".join((ROOT / "docs" / "leaderboard.md").read_text("utf-8").split())
    assert f"{100 * value:.1f} points {words} ({100 * low:.1f} to {100 * high:.1f})" in text


@pytest.mark.parametrize(
    ("name", "beside"),
    [("tuned-diffpure", "diffpure"), ("tuned-gdmp", "gdmp"), ("diffpure-sde", "diffpure")],
)
def test_another_form_of_a_chain_is_quoted_right(name: str, beside: str) -> None:
    """On the images that both met, which are the first ones."""
    records = [row(name), row(beside)]
    count = min(len(each) for each in records)
    value, (low, high) = paired_difference(*(robust_share(each)[:count] for each in records))
    left = f"{100 * conclude(records[0])['worst']['value']:.1f} % of {count} images"
    text = " ".join((ROOT / "docs" / "leaderboard.md").read_text("utf-8").split())
    assert f"{left} ({100 * value:+.1f} points, {100 * low:.1f} to {100 * high:+.1f})" in text


def test_what_few_bits_leave_is_quoted_right() -> None:
    names = ("alp-w8a8", "alp-w4a8", "cifar10-lite-standalone")
    records = [row(name) for name in names]
    left = [f"{100 * conclude(each)['worst']['value']:.1f} %" for each in records]
    text = " ".join((ROOT / "docs" / "leaderboard.md").read_text("utf-8").split())
    words = "keeps {} in eight bits and {} with weights of four bits, {} in float"
    assert words.format(*left) in text


def test_what_the_gradient_of_the_whole_chain_leaves_is_quoted_right() -> None:
    folder = RESULTS / "chain-attack" / "records"
    shorter, whole = (
        read(folder / f"{name}.json").columns["single_correct"].astype(float)
        for name in ("diffpure", "diffpure-full")
    )
    value, (low, high) = paired_difference(whole, shorter)
    text = " ".join((ROOT / "docs" / "leaderboard.md").read_text("utf-8").split())
    assert f"leaves {100 * whole.mean():.1f} % of {len(whole)} images, and" in text
    words = f"{100 * shorter.mean():.1f} % by the gradient of 5 steps (a paired difference of "
    assert f"{words}{100 * value:+.1f} points, {100 * low:.1f} to {100 * high:+.1f};" in text

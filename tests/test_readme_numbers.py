"""Every number among the README's results is that of a record, or a term of its protocol."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import alp
from alp.bench.published import PublishedUNet
from alp.experiments.findings import judge as judge_claims
from alp.records import (
    Record,
    aggregate,
    choose_points,
    conclude,
    measured,
    read,
    read_tree,
    robust_share,
)
from alp.records.certificates import summarise_certificates
from alp.records.queries import best_attacker
from alp.records.record import BINS
from alp.records.statistics import paired_difference, ratio
from alp.records.timings import best, judge, rows, sibling
from alp.report.claims import OWN, Finding, Judged
from alp.training.recipes import recipe

DASH = "\u2013"
ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "cpu"
LEVELS = ("oblivious", "transfer", "score", "masked", "single", "bpda", "fixed", "eot")
LITE = "verdicts/cifar10-lite"
AT = "verdicts/cifar10-lite-adversarial"
TRIALS = range(5)
LONG = ("cifar10-lite-standalone", "cifar10-lite-adversarial", "cifar10-lite-standard")
"""Models that attackers asked more than 1,000 questions."""

TERMS = {
    "certificates": "cifar10 cifar10 cifar10 L2 1,000 0.001 8/255 bfloat16 bfloat16 55 2",
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


@cache
def record(path: str) -> Record:
    return read(RESULTS / f"{path}.json")


@cache
def verdict(path: str) -> dict[str, Any]:
    return conclude(record(path))


@cache
def claims() -> Mapping[str, Judged]:
    return {each.id: each for each in judge_claims(read_tree(RESULTS)[0])}


def per_cent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f}"


def ends(found: Mapping[str, float], dash: str = " to ") -> str:
    return f"{per_cent(found['low'])}{dash}{per_cent(found['high'])}"


def gain(path: str, over: str, sign: str = "+") -> tuple[str, str]:
    """Points by which one worst case is above another on the same images, and its interval."""
    mean, (low, high) = paired_difference(*(robust_share(record(each)) for each in (path, over)))
    return f"{100 * mean:{sign}.1f}", f"{100 * low:{sign}.1f} to {100 * high:{sign}.1f}"


def row(name: str, path: str) -> str:
    found = verdict(path)
    cells = [f"| {name} | {per_cent(found['clean']['value'])} %"]
    for level in LEVELS:
        share = found["levels"].get(level)
        cells.append(f"{per_cent(share['value'])} %" if share else "")
    worst = found["worst"]
    cells.append(f"**{per_cent(worst['value'])} %** ({ends(worst, DASH)}) |")
    return " ".join(" | ".join(cells).split())


def verdicts() -> Iterator[str]:
    rows = {"verdicts/cifar10-lite-standalone": "float32"} | dict.fromkeys(
        (AT, LITE, *(f"verdicts/{each}" for each in ("input-noise", "joint-s0", "joint-frozen"))),
        "bfloat16",
    )
    for path, precision in rows.items():
        header = record(path).header
        assert header["attack_precision"] == precision
        assert header["checks"]
        assert all(each["passed"] for each in header["checks"]), "all checks pass"
    yield row("ALP standalone, 1 draw (256 images)", "verdicts/cifar10-lite-standalone")
    yield row("AT", AT)
    yield row("AT + noise at the input, 20 draws", "verdicts/input-noise")
    yield row("A-ALP + AT, sigma 0", "verdicts/joint-s0")
    frozen = record("verdicts/joint-frozen").header["sigma"]
    yield row(f"A-ALP + AT, sigma frozen at {frozen:.3f}, 20 draws", "verdicts/joint-frozen")
    yield row("A-ALP + AT, 20 draws", LITE)


def worth() -> Iterator[str]:
    standard = "verdicts-standard/cifar10-lite"
    mean, interval = gain(standard, f"{standard}-adversarial")
    yield f"adds {mean} points to adversarial training (suite `standard`, paired"
    yield f"interval {interval}; under"
    yield "`quick` {}, {})".format(*gain(LITE, AT))
    yield "it adds {} (`quick`, {})".format(*gain(LITE, "verdicts/joint-s0"))
    yield "in its place {} ({})".format(*gain(LITE, "verdicts/input-noise"))
    yield "as it was {} ({})".format(*gain(LITE, "verdicts/joint-frozen"))
    for path, words in ((LITE, "falls by {} points"), (f"{LITE}-standalone", "(standalone by {})")):
        found = verdict(path)
        yield words.format(
            per_cent(found["levels"]["masked"]["value"] - found["worst"]["value"], 0)
        )
    worst = verdict(f"{standard}-adversarial")["worst"]
    yield f"leaves AT {per_cent(worst['value'])} % ({ends(worst)})"
    worst, levels = verdict(standard)["worst"], verdict(standard)["levels"]
    yield f"A-ALP + AT {per_cent(worst['value'])} % ({ends(worst)})"
    shown = [per_cent(levels[level]["value"]) for level in ("single", "fixed", "eot")]
    yield "{} % under `single`, {} under `fixed`, {} under `eot`".format(*shown)
    pair = ("verdicts-bf16/cifar10-lite", "verdicts-float32/cifar10-lite")
    same = {per_cent(verdict(path)["worst"]["value"]) for path in pair}
    assert len(same) == 1
    yield f"left the same {same.pop()} % as in float32"
    mean, interval = gain(*pair)
    yield f"(paired difference {mean.lstrip('+')}, {interval}; `results/cpu/verdicts-bf16`"


def table(name: str, *, sd: bool) -> dict[str, Any]:
    paths = (
        [f"hierarchy/records/{name}-{n}" for n in TRIALS] if sd else [f"hierarchy/records/{name}"]
    )
    return aggregate([record(path) for path in paths])


def spread(found: Mapping[str, Any]) -> str:
    sd = "" if found["sd"] is None else f" ± {per_cent(found['sd'])}"
    return f"{per_cent(found['value'])}{sd} %"


def hierarchy() -> Iterator[str]:
    published = {"baseline": "0.00", "standalone": "11.44", "adversarial": "28.26"}
    published["defended"] = "32.06 ± 1.94"
    names = {"baseline": "baseline", "standalone": "ALP standalone, 1 draw", "adversarial": "AT"}
    names["defended"] = "A-ALP + AT, 20 draws"
    for key, name in names.items():
        found = table(key, sd=key in ("standalone", "defended"))
        levels = [spread(found["robust"][each]) for each in ("oblivious", "single", "masked")]
        levels[1] += f" [{published[key]}]"
        quality = " | |"
        if key in ("standalone", "defended"):
            sigma, psnr = found["sigma"], found["psnr"]["value"]
            deviation = f" ± {sigma['sd']:.3f} [0.219]" if key == "defended" else ""
            quality = f" {psnr:.2f} dB [25.68] | {sigma['value']:.3f}{deviation} |"
        yield f"| {name} | {spread(found['clean'])} | {' | '.join(levels)} |{quality}"
    ours = {
        name: aggregate([record(f"protocol/cifar10-lite{suffix}")])
        for name, suffix in (("alone", "-standalone"), ("at", "-adversarial"), ("both", ""))
    }
    shown = {
        name: (per_cent(each["clean"]["value"]), per_cent(each["robust"]["single"]["value"]))
        for name, each in ours.items()
    }
    yield "ALP standalone {} % clean and {} % under `single`".format(*shown["alone"])
    yield f"at {ours['alone']['psnr']['value']:.2f} dB"
    yield "AT {} and {} %".format(*shown["at"])
    yield "A-ALP + AT {} and {} %".format(*shown["both"])
    both = ours["both"]
    yield f"at {both['psnr']['value']:.2f} dB and sigma {both['sigma']['value']:.3f}"
    defended, alone = "honest/records/defended-0", "honest/records/adversarial"
    worst = verdict(defended)["worst"]
    yield f"is at {per_cent(worst['value'])} % in the worst case ({ends(worst)})"
    yield f"where AT is at {per_cent(verdict(alone)['worst']['value'])} %"
    yield "difference of {} points ({};".format(*gain(defended, alone))


def of(claim: str, *protocols: str) -> list[float]:
    found = {each.protocol: each.value for each in claims()[claim].findings}
    return [found[name] for name in protocols] if protocols else list(found.values())


BOTH = ("oblivious", "single")


def own_class(path: str, name: str) -> float:
    """Share of the nearest clean images that have an image's own class."""
    return float(np.mean(record(path).columns[f"{name}_share"]))


def clean(path: str) -> str:
    (point,) = choose_points(measured(record(path)), "clean")
    return per_cent(point.accuracy.value)


def page() -> Iterator[str]:
    paper = {id: each for id, each in claims().items() if each.place != OWN}
    assert set(claims()) - set(paper) == {"field.unified"}, "one claim more"
    yield f"and {len(paper)} of its claims, among them"
    counts = Counter(each.status for each in paper.values())
    yield f"**{counts['reproduced']} are reproduced.**"
    yield f"**{counts['only']} are true of some measurements, not of all**"
    yield f"**{counts['by construction']} are true by construction**"
    yield f"**{counts['not reproduced']} are not.**"
    assert not counts["not measured"]
    alone = [each for each in claims().values() if each.place.startswith("Table I (")]
    failed = {each.id: each.status for each in alone if each.status != "reproduced"}
    assert failed == {
        "field.boundary": "only",
        "field.magnet": "only",
        "field.hgd": "only",
        "field.architectures": "only",
    }
    grown = {each.protocol: each.value for each in claims()["field.quantisation-error"].findings}
    plain, learned = (grown[f"W4A8, {method}"] for method in ("minmax", "reconstructed"))
    yield f"({plain:.1f} times in 100 steps; with learned rounding {learned:.1f})"
    pure = record("leaderboard/records/diffpure")
    words = "nobody fine-tuned (+{:.1f} points in the worst case, {} images)"
    yield words.format(*of("field.diffpure", "worst case"), len(pure))
    yield "unified latents protect a little (+{:.1f})".format(*of("field.unified", "worst case"))
    (proved,) = of("field.densepure", "")
    proofs = record("certificates-densepure/records/densepure")
    yield f"DensePure certifies {proved:.1f} % at the radius 0.5 ({len(proofs)} images)"
    (rounded,) = claims()["field.quantisation.protects"].findings
    low, high = (each.replace("\u2212", "-") for each in rounded.interval.split(" to "))
    yield f"do not protect ({rounded.value:.1f} points, {float(low):.1f} to {float(high):+.1f})"
    usual, weak, strong = (span(words) for words in ("as usual, 2/255", "AT, 1/255", "AT, 8/255"))
    yield "by {} points at 2/255 ({} to {})".format(*usual)
    yield "adversarially by {} at 1/255 ({} to {})".format(*weak)
    yield "and by {} at 8/255 ({} to {:+.1f})".format(*strong[:2], float(strong[2]))
    yield "MagNet (+{:.1f} points)".format(*of("field.magnet", "oblivious"))
    yield "and HGD (+{:.1f}) protect".format(*of("field.hgd", "oblivious"))
    assert of("field.magnet", "worst case") == of("field.hgd", "worst case") == [0]
    boundary = record("attacks/records/baseline-l2-black-box")
    attacks = {e["attack"]["name"]: e["attack"] for e in boundary.header["entries"]}
    yield f"in {attacks['boundary']['steps']} steps ({len(boundary)} images)"
    asked = "linf, rays, 1,000 answers"
    assert of("field.boundary", "l2") == [0]
    images = len(record("queries/records/cifar10-lite-standard"))
    words = "RayS does ({:.1f} points in 1,000 answers, {} images)"
    yield words.format(*of("field.boundary", asked), images)
    trials: dict[str, set[int]] = {}
    for each in read_tree(RESULTS)[0]:
        trials.setdefault(each.item, set()).add(each.record.header.get("trial", 0))
    named = {
        count: [i for i, found in trials.items() if i and len(found) == count]
        for count in (5, 3, 1)
    }
    assert {item for items in named.values() for item in items} == set(filter(None, trials))
    yield f"Five stand behind {listed(named[5])}"
    yield f"Three stand behind {listed(named[3])}; one behind {listed(named[1])}."
    yield "this run trained by +{:.1f} points under `single`, +{:.1f} in the worst case".format(
        *of("zero-shot.gain", "single", "worst case")
    )
    assert claims()["sigma.stable"].status == "reproduced"
    sigmas = [record(f"sigma/records/purifier-{n}").header["sigma"] for n in TRIALS]
    yield f"a sigma of {min(sigmas):.3f} to {max(sigmas):.3f}"
    many, few = (record(f"{item}/records/defended-0") for item in ("hierarchy", "reliability"))
    words = "deviates by {:.1f} points on {:,} images, by {:.1f} on {} [1.94]"
    table, figure = of("hierarchy.a-alp-at.sd")
    yield words.format(table, len(many), figure, len(few))
    peaks = {
        each.protocol.split(", against")[0]: signed(each)
        for each in claims()["tradeoff.optimum"].findings
    }
    yield "it has {} points ({} to {})".format(*peaks["single"])
    yield "over five trials {} ({} to {})".format(*peaks["single, reliability"])
    yield "the zero-shot purifier {} ({} to {})".format(*peaks["single, zero-shot-tradeoff"])
    for each in ("sweep.optimum", "tradeoff.optimum"):
        assert claims()[each].status == "not reproduced", "not the most robust"
    small = [
        np.mean(
            [point(f"robustness-cost/records/eps-{eps}-{n}", "clean").correct for n in range(3)]
        )
        for eps in (0, 8)
    ]
    yield "costs {:.1f} points of clean accuracy, {:.1f} with small classifiers".format(
        *of("field.tradeoff"), 100 * (small[0] - small[1])
    )
    assert claims()["field.tradeoff.radius"].status == "reproduced", "each step of the radius"
    before, after = (
        sorted(own_class(f"tsne/records/defended-0-{each}", name) for each in BOTH)
        for name in ("attacked", "purified")
    )
    low, high = (f"{per_cent(a, 0)} to {per_cent(b, 0)}" for a, b in (before, after))
    yield f"({low} % before, {high} % after)"
    blind = "zero-shot-tsne/records/zero-shot-oblivious"
    shares = (per_cent(own_class(blind, name), 0) for name in ("attacked", "purified"))
    yield "({} to {} % own-class neighbours)".format(*shares)
    yield "by +{:.1f} under `single`, ".format(*of("zero-shot.unmodified", "single"))
    yield "at {} % clean in place of {} %. AT".format(
        *(clean(f"unmodified/records/{name}") for name in ("before-baseline", "baseline"))
    )
    yield "costs {:.1f} points".format(-of("zero-shot.at", "single")[0])
    assert len(list((RESULTS / "readings/records").glob("*.json"))) == 7, "seven readings"
    small, fixed, free = (
        choose_points(measured(record(f"readings/records/{name}")), "clean")[place]
        for name, place in (
            ("64x4x4--least-rate", 1),
            ("fixed-0-219--bounded", 0),
            ("MSE--bounded-latent", 1),
        )
    )
    yield f"learns {record('readings/records/64x4x4--least-rate').header['sigma']:.3f}"
    yield f"gives {small.psnr.mean(dtype=np.float64):.2f} dB [25.68] where"
    yield f"gives {fixed.psnr.mean(dtype=np.float64):.2f} dB"
    yield f"to it afterwards {free.psnr.mean(dtype=np.float64):.2f} dB"
    assert small.sigma == free.sigma == 0.219
    pair = (record(f"consensus/records/draws-{draws}") for draws in (20, 1))
    shares = (choose_points(measured(each), "single")[0].correct for each in pair)
    mean, (low, high) = paired_difference(*(each.astype(float) for each in shares))
    yield f"add {100 * mean:+.1f} points to one"
    yield f"images, {100 * low:+.1f} to {100 * high:+.1f})"
    assert claims()["spectra.removed"].status == "reproduced"
    yield from bands()
    assert of("masking.differentiable") == [100], "on every image"


def listed(items: Iterable[str]) -> str:
    *first, last = (f"`{each}`" for each in sorted(items))
    return f"{', '.join(first)} and {last}" if first else last


def signed(finding: Finding) -> tuple[str, str, str]:
    """A difference and the ends of its interval, with their signs."""
    low, high = (float(e.replace("\u2212", "-")) for e in finding.interval.split(" to "))
    return f"{finding.value:+.1f}", f"{low:+.1f}", f"{high:+.1f}"


def span(words: str) -> tuple[str, str, str]:
    """Points between the most and the least robust architecture, and the ends of their interval."""
    (one,) = (e for e in claims()["field.architectures"].findings if e.protocol.endswith(words))
    low, high = (each.replace("\u2212", "-") for each in one.interval.split(" to "))
    return f"{one.value:.1f}", f"{float(low):.1f}", f"{float(high):.1f}"


def bands() -> Iterator[str]:
    """Points that attacks take that are limited to a band, and where their power is."""
    taken = {}
    for name in ("low", "high", "all"):
        bare, attacked = (point(f"spectra/records/{name}", level) for level in ("clean", "single"))
        taken[name] = 100 * (bare.accuracy.value - attacked.accuracy.value)
    ends = sorted((taken["low"], taken["high"]))
    yield "takes {:.0f} to {:.0f} points, with all of them {:.0f}".format(*ends, taken["all"])
    power = record("spectra/records/spectra").columns
    before, behind = (
        np.mean(sum(power[f"{name}_{k}"] for k in range(BINS // 2, BINS)) / total)
        for name in ("attack", "behind")
        for total in [sum(power[f"{name}_{k}"] for k in range(BINS))]
    )
    radial = np.hypot(*np.meshgrid(np.fft.fftfreq(32), np.fft.fftfreq(32)))
    even = per_cent((radial >= 0.25).mean(), 0)
    yield f"{per_cent(before, 0)} % of its power is at the high ones, behind the purifier"
    yield f"{per_cent(behind, 0)} %, and of even power {even} % would"


def point(path: str, level: str, place: int = 0) -> Any:
    return choose_points(measured(record(path)), level)[place]


def bottlenecks() -> Iterator[str]:
    path = "compact/records/c64-26.2dB-stride8"
    bare, single = point(path, "clean"), point(path, "single")
    yield f"learns a sigma of {bare.sigma:.3f} [0.219]"
    yield f"at {bare.psnr.mean(dtype=np.float64):.2f} dB [25.68]"
    yield f"keeps {per_cent(single.accuracy.value)} % under `single` [32.06]"
    others = ((16, "come to {:.3f} and {} %"), (64, "same short trainings to {:.3f} and {} %"))
    for channels, words in others:
        other = point(f"bottleneck/records/c{channels}-26.2dB", "single")
        yield words.format(other.sigma, per_cent(other.accuracy.value))
    small, alone = (f"compact/records/{name}" for name in ("compact", "adversarial"))
    worst, other = (verdict(each)["worst"] for each in (small, alone))
    yield f"leaves the 64x4x4 one {per_cent(worst['value'])} % ({ends(worst)}) in the worst case"
    yield f"where AT keeps {per_cent(other['value'])} %"
    yield "difference of {} points, {}".format(*gain(small, alone))


def widths() -> Iterator[str]:
    """Points that 512 channels pass more than 64, by what the trainings hold equal."""
    found: dict[str, list[float]] = {}
    for each in claims()["bottleneck.wide"].findings:
        _, *goal = each.protocol.split(", ")
        found.setdefault(goal[0] if goal else "", []).append(each.value)
    goals = ("", "one PSNR", "one weight of the rate", "no rate")
    assert set(found) == set(goals)
    assert max(found["one weight of the rate"]) < 0, "less"
    usual, small, weight, none = (sorted(map(abs, found[goal])) for goal in goals)
    yield "than 64 ({:.1f} to {:.1f} points; small".format(*usual)
    yield "purifiers {:.1f} to {:.1f}, `alp".format(*small)
    yield "they pass {:.1f} to {:.1f} points less".format(*weight)
    psnr = {
        (width, goal): point(
            f"bottleneck-free/records/c{width}-{goal.replace(' ', '-')}", "clean"
        ).psnr.mean(dtype=np.float64)
        for width in (64, 512)
        for goal in found
        if goal
    }
    both = (psnr[width, "one weight of the rate"] for width in (512, 64))
    yield "at {:.2f} dB where 64 have {:.2f}".format(*both)
    yield "they pass {:.1f} to {:.1f} points more".format(*none)
    yield "({:.2f} and {:.2f} dB)".format(*(psnr[width, "no rate"] for width in (512, 64)))


def trained_sweep() -> Iterator[str]:
    """Purifiers trained at each sigma, and one that is set; chance is one class of ten."""
    own = {
        sigma: point(f"trained-sweep/records/trained-{sigma:g}", "single", 2)
        for sigma in (0.0, 0.5, 1.0, 1.5, 2.0)
    }
    moved = choose_points(measured(record("trained-sweep/records/set")), "single", eps=0.3)
    assert {each.eps for each in (*own.values(), *moved)} == {0.3}
    assert all(each.accuracy.low < 0.1 for each in (*own.values(), *moved)), "none above chance"
    best = max(own, key=lambda sigma: own[sigma].accuracy.value)
    assert best == 0
    yield f"keeps most without noise ({per_cent(own[0.0].accuracy.value)} %)"
    yield f"and {per_cent(own[0.5].accuracy.value)} % at sigma 0.5"
    assert record("trained-sweep/records/set").header["sigma"] == 0.5
    most = max(moved, key=lambda each: each.accuracy.value)
    yield f"set to the others keeps most at {most.sigma:g} ({per_cent(most.accuracy.value)} %)"
    ends = (point(f"trained-sweep/records/trained-{sigma}", "clean") for sigma in (0, 2))
    first, last = (each.psnr.mean(dtype=np.float64) for each in ends)
    yield f"From sigma 0 to 2 PSNR goes from {first:.2f} to {last:.2f} dB [21 to 17]"


def proofs() -> Iterator[str]:
    for path, radii in (("certificates", (0.25, 0.5)), ("certificates-half", (0.5, 1.0))):
        made = record(f"{path}/records/cifar10-certified")
        for row in summarise_certificates(made, list(radii))["certified"]:
            yield f"{per_cent(row['value'])} % ({ends(row)}) at {row['radius']}"
        yield f"otes under noise of {made.header['sigma']} certify"
        assert (len(made), made.header["alpha"]) == (1000, 0.001)
    whole = record("certificates-whole/records/cifar10-certified")
    told = summarise_certificates(whole, [0.25, 0.5])
    for row in told["certified"]:
        yield f"{per_cent(row['value'])} % ({ends(row)}) at {row['radius']}"
    yield f"{len(whole):,} images, took"
    yield f"--images {len(whole)} --budget {whole.header['budget']} --backend openvino"
    yield f"{told['votes']:,.0f} votes an image)"
    both = "records/cifar10-certified-certified-adversarial"
    made = record(f"certificates-adversarial/{both}")
    for row in summarise_certificates(made, [0.25, 0.5])["certified"]:
        yield f"{per_cent(row['value'])} % ({ends(row)}) at {row['radius']}"
    yield f"under noise of {made.header['sigma']}, certifies"
    attacked, alone = f"verdicts-certified/{both}", "leaderboard/records/cifar10-lite-adversarial"
    assert all(each["passed"] for each in record(attacked).header["checks"])
    ours, others = (verdict(each)["worst"] for each in (attacked, alone))
    yield f"keeps {per_cent(ours['value'])} % ({ends(ours)}) in the worst"
    yield f"where AT alone keeps {per_cent(others['value'])} % ({len(record(attacked))} images"
    assert record(attacked).header["data_digest"] == record(alone).header["data_digest"]


TRAINING_IMAGES = 45_000
"""Images of CIFAR-10 that a training sees once an epoch; the other 5,000 are for validation."""


def queries() -> Iterator[str]:
    """Under attackers who only ask, with nothing else and with another model to start from."""
    ours, at, bare = (record(f"queries/records/{name}") for name in LONG)
    told, other, none = (conclude(each) for each in (ours, at, bare))
    alone = told["alone"][-1]
    clean = per_cent(told["clean"]["value"])
    words = f"ALP standalone keeps {per_cent(alone['value'])} % ({ends(alone)}) of {clean} % clean"
    yield f"{words} after {alone['queries']:,} queries"
    yield f"AT keeps {per_cent(other['alone'][-1]['value'])} %"
    yield f"the undefended classifier {per_cent(none['alone'][-1]['value'])} %"
    long = {name: conclude(record(f"queries-long/records/{name}")) for name in LONG}
    long[LONG[0]] = conclude(record(f"queries-long/records/{LONG[0]}-votes"))
    yield "After {:,} they are {} %, {} % and {} %".format(
        long[LONG[0]]["curve"][-1]["queries"],
        *(per_cent(each["curve"][-1]["value"]) for each in long.values()),
    )
    close, copy = (
        per_cent(float(best_attacker(ours, 0, start=each)[1].mean()))
        for each in ("cifar10-lite-standard", "stolen")
    )
    answers = recipe("distilled", "cpu").stage.optim.epochs * TRAINING_IMAGES
    yield f"It ends after {answers:,.0f} answers"
    yield f"the copy leaves {copy} %"
    yield f"fine-tuned from ({close} %; {len(ours)} test images"


def autoattack() -> Iterator[str]:
    alone, defended = "autoattack-adversarial/autoattack", "autoattack-defended/autoattack"
    standard = "verdicts-standard/cifar10-lite"
    yield f"leaves AT the same {per_cent(verdict(alone)['worst']['value'])} % as"
    mean, interval = gain(alone, f"{standard}-adversarial")
    yield f"paired difference {mean.lstrip('+')}, {interval}; `benchmarks"
    worst = verdict(defended)["worst"]
    yield f"it leaves {per_cent(worst['value'])} % ({ends(worst)};"
    yield "{} points more ({}) than `standard`".format(*gain(defended, standard, sign=""))


def speed() -> Iterator[str]:
    bench = record("bench/bench")
    found = [each for each in rows(bench) if each.batch == 1]

    def of_engine(backend: str, precision: str, what: str) -> Any:
        chosen = best(found, 1, precision, backend)
        assert chosen is not None
        return sibling(found, chosen, what)

    engines = {"eager PyTorch": ("eager", "float32"), "OpenVINO, float32": ("openvino", "float32")}
    engines["OpenVINO, bfloat16"] = ("openvino", "bfloat16")
    for words, engine in engines.items():
        one, every, mean = (of_engine(*engine, what) for what in ("draw", "draws", "consensus"))
        yield (f"| {words} | {one.median:.1f} ms | {every.median:.1f} ms | {mean.mean:.1f} ms |")
    chains = {each.backend: each for each in found if each.what == "peer"}
    trained, published = (chains[f"{which}diffpure"] for which in ("", "published-"))
    yield f"trained here), eager | {trained.median / 1000:.1f} s |"
    yield f"published network, eager | {published.median / 1000:.1f} s |"
    draws, consensus, diffusion = (each.ratio for each in judge(bench)[:3])
    yield f"20 draws cost {draws.value:.1f} times one draw"
    yield f"interval {draws.low:.1f} to {draws.high:.1f}; the paper"
    yield f"consensus {consensus.value:.1f} times ({consensus.low:.1f} to {consensus.high:.1f};"
    yield f"{of_engine('openvino', 'float32', 'consensus').draws:.1f} draws on average"
    eager = of_engine("eager", "float32", "draw").median
    small = ratio(trained.series, of_engine("openvino", "float32", "draw").series)
    yield f"One draw is {small.value:.0f} times faster than DiffPure"
    words = f"({small.low:.0f} to {small.high:.0f}; {trained.median / eager:.0f} times in eager"
    yield f"{words} PyTorch), and {round(diffusion.value, -2):,.0f} times faster than with the"
    low, high = (f"{round(each, -1):,.0f}" for each in (diffusion.low, diffusion.high))
    yield f"({low} to {high}; {round(published.median / eager, -1):.0f} times in eager PyTorch)"
    sizes = [
        sum(each.numel() for each in network.parameters())
        for network in (PublishedUNet().build(), alp.load("cifar10-lite/diffusion"))
    ]
    yield f"which is {sizes[0] / sizes[1]:.0f} times as large"
    one, every = (of_engine("openvino", "int8", what) for what in ("draw", "draws"))
    yield f"one draw {one.median:.1f} ms, 20 draws {every.median:.1f} ms"
    int8 = verdict("verdicts-int8/cifar10-lite")
    yield f"was at {per_cent(int8['clean']['value'])} % clean"
    yield f"and {per_cent(int8['worst']['value'])} % in the worst case ({ends(int8['worst'])})"
    failed = [check["check"] for check in int8["checks"] if not check["passed"]]
    assert failed == ["finite-difference"]


def limits() -> Iterator[str]:
    names = ("before-adversarial", "adversarial", "before-baseline", "baseline")
    records = [record(f"unmodified/records/{name}") for name in names]
    before, alone, standard, bare = (choose_points(measured(each), "clean")[0] for each in records)
    yield f"an error of {standard.psnr.mean():.0f} dB"
    shares = (per_cent(each.accuracy.value) for each in (standard, bare))
    yield "({} % in place of {} % clean without that)".format(*shares)
    lost = alone.accuracy.value - before.accuracy.value
    yield f"lost {per_cent(lost)} points of clean accuracy ({len(records[0])} images"


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
    (deviation,) = of("sigma.stable")
    assert f"{words}, standard deviation {deviation:.1f} %)" in text

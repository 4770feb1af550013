"""What the README says of the source paper's tables, figures and claims, from the records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from quoted import (
    RESULTS,
    TRIALS,
    claims,
    clean,
    ends,
    gain,
    listed,
    of,
    own_class,
    per_cent,
    point,
    record,
    signed,
    spread,
    verdict,
)

from alp.records import (
    aggregate,
    choose_points,
    measured,
    read_tree,
)
from alp.records.record import BINS
from alp.records.statistics import paired_difference
from alp.report.claims import OWN


def table(name: str) -> dict[str, Any]:
    """A row of Table II over all trials."""
    return aggregate([record(f"hierarchy/records/{name}-{n}") for n in TRIALS])


def hierarchy() -> Iterator[str]:
    published = {"baseline": "0.00", "standalone": "11.44", "adversarial": "28.26"}
    published["defended"] = "32.06 ± 1.94"
    names = {"baseline": "baseline", "standalone": "ALP standalone, 1 draw", "adversarial": "AT"}
    names["defended"] = "A-ALP + AT, 20 draws"
    for key, name in names.items():
        found = table(key)
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
    defended, alone = "honest/records/defended-0", "honest/records/adversarial-0"
    worst = verdict(defended)["worst"]
    yield f"is at {per_cent(worst['value'])} % in the worst case ({ends(worst)})"
    yield f"where AT is at {per_cent(verdict(alone)['worst']['value'])} %"
    yield "difference of {} points ({};".format(*gain(defended, alone))


BOTH = ("oblivious", "single")


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
        "field.quantisation-error": "only",
    }
    grown = {each.protocol: each.value for each in claims()["field.quantisation-error"].findings}
    plain, learned = (grown[f"W4A8, {method}"] for method in ("minmax", "reconstructed"))
    yield f"({plain:.1f} times in 100 steps; with learned rounding {learned:.1f} times)"
    plain, learned = (grown[f"W8A8, {method}"] for method in ("minmax", "reconstructed"))
    assert learned < 1 < plain
    words = "of eight bits ({:.1f}), and damps those of eight bits with learned rounding ({:.1f})"
    yield words.format(plain, learned)
    pure = record("leaderboard/records/diffpure")
    words = "nobody fine-tuned (+{:.1f} points in the worst case, {} images)"
    yield words.format(*of("field.diffpure", "worst case"), len(pure))
    yield "unified latents protect a little (+{:.1f})".format(*of("field.unified", "worst case"))
    (proved,) = of("field.densepure", "")
    proofs = record("certificates-densepure/records/densepure")
    yield f"DensePure certifies {proved:.1f} % at the radius 0.5 ({len(proofs)} images)"
    rounded, blind = claims()["field.quantisation.protects"].findings
    assert (rounded.value, rounded.interval) == (blind.value, blind.interval)
    low, high = (each.replace("\u2212", "-") for each in rounded.interval.split(" to "))
    words = f"({rounded.value:.1f} points, {float(low):.1f} to {float(high):+.1f}, under"
    yield f"do not protect {words} `{rounded.protocol}` and under `{blind.protocol}`)"
    usual, weak, strong = (span(words) for words in ("as usual, 2/255", "AT, 1/255", "AT, 8/255"))
    yield "by {} points at 2/255 ({} to {})".format(*usual)
    yield "adversarially by {} at 1/255 ({} to {})".format(*weak)
    yield "and by {} at 8/255 ({} to {:+.1f})".format(*strong[:2], float(strong[2]))
    yield "MagNet (+{:.1f} points)".format(*of("field.magnet", "oblivious"))
    yield "and HGD (+{:.1f}) protect against attackers who do not know them".format(
        *of("field.hgd", "oblivious")
    )
    assert of("field.magnet", "worst case") == of("field.hgd", "worst case") == [0]
    boundary = record("attacks/records/baseline-0-l2-black-box")
    attacks = {e["attack"]["name"]: e["attack"] for e in boundary.header["entries"]}
    yield f"attack, whose {attacks['boundary']['steps']} steps are too few here"
    yield f"within the radius ({len(boundary)} images)"
    asked = "linf, rays, 1,000 answers"
    assert of("field.boundary", "l2") == [0]
    images = len(record("queries/records/cifar10-lite-standard"))
    words = "by RayS ({:.1f} points in 1,000 answers, {} images)"
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
    others = [
        record(f"sigma-starts/records/purifier-from-{start}").header["sigma"]
        for start in ("0.1", "1")
    ]
    words = "sigma end at {:.3f} to {:.3f}, and from other starts at {:.3f} and {:.3f}"
    yield words.format(min(sigmas), max(sigmas), *others)
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
    names = [f"unmodified/records/{name}" for name in ("before-baseline", "baseline")]
    words = "at {} % clean in place of {} % ({} draws). AT"
    yield words.format(*map(clean, names), record(names[0]).header["draws"])
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
    yield f"carry {per_cent(before, 0)} % of the attack's power before the purifier"
    yield f"and {per_cent(behind, 0)} % behind it, and would carry {even} % of noise"


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


def limits() -> Iterator[str]:
    names = ("before-adversarial", "adversarial", "before-baseline", "baseline")
    records = [record(f"unmodified/records/{name}") for name in names]
    before, alone, standard, bare = (choose_points(measured(each), "clean")[0] for each in records)
    yield f"an error of {standard.psnr.mean():.0f} dB"
    shares = (per_cent(each.accuracy.value) for each in (standard, bare))
    yield "({} % in place of {} % clean without that)".format(*shares)
    lost = alone.accuracy.value - before.accuracy.value
    yield f"lost {per_cent(lost)} points of clean accuracy ({len(records[0])} images"

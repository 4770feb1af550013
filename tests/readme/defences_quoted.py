"""What the README says of defences, certificates, attackers and times, from the records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from quoted import ends, gain, per_cent, record, verdict

import alp
from alp.bench.published import PublishedUNet
from alp.deploy.backends import PRECISIONS
from alp.records import (
    conclude,
)
from alp.records.certificates import summarise_certificates
from alp.records.queries import best_attacker
from alp.records.statistics import ratio
from alp.records.timings import best, judge, rows, sibling
from alp.training.recipes import recipe

DASH = "\u2013"


LEVELS = ("oblivious", "transfer", "score", "masked", "single", "bpda", "fixed", "eot")


LITE = "verdicts/cifar10-lite"


AT = "verdicts/cifar10-lite-adversarial"


LONG = ("cifar10-lite-standalone", "cifar10-lite-adversarial", "cifar10-lite-standard")
"""Models that attackers asked more than 1,000 questions."""


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
    yield f"{words} after {alone['queries']:,} queries**"
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
    yield f"It ends at {answers:,.0f} queries, from which an attacker trains a copy"
    yield f"what fools the copy leaves {copy} %"
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
    every = rows(bench)
    batches = sorted({each.batch for each in every if each.what == "draw"})
    precisions = [p for p in PRECISIONS if any(each.precision == p for each in every)]
    yield (
        f"--batches {' '.join(map(str, batches))} --precisions {' '.join(precisions)} "
        f"--rounds {bench.header['rounds']}"
    )
    found = [each for each in every if each.batch == 1]

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
    yield f"one draw has {of_engine('openvino', 'float32', 'draw').mean:.1f} ms"
    yield f"in one run of {bench.header['rounds']} rounds"
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

"""The page of a protected classifier: what the defence is worth, and against whom."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from alp.report.format import count, interval, percent, threat_words

FEW = 100
"""Images below which a share is no more than a hint."""

OVER = 1.25
"""Times the budget from which the page says why it took longer."""

ATTACKERS = {
    "oblivious": "does not know of the purifier",
    "score": "can only ask, and sees the logits",
    "masked": "follows the defence's stop-gradient",
    "single": "holds all weights, one draw a step",
    "bpda": "holds all weights, takes the purifier for the identity",
    "fixed": "holds all weights, attacks known draws",
    "eot": "holds all weights, averages over draws",
}
"""Level of knowledge to what the attacker knows."""


def page(facts: Mapping[str, Any]) -> str:
    """The page as Markdown, of what :func:`alp.protection.facts.facts` found."""
    return "\n\n".join(_parts(facts)) + "\n"


def _parts(facts: Mapping[str, Any]) -> Iterator[str]:
    defended, bare = facts["defended"], facts["bare"]
    yield f"# {facts['classifier']}, protected"
    yield headline(facts)
    yield _honesty(facts)
    if "check" in facts["left_out"]:
        yield _left_out(
            facts["left_out"]["check"],
            "**The checks of the attacks were left out, so that nobody knows whether the attacks "
            "worked: the shares below are no more than upper bounds.**",
        )
    yield "## What each attacker leaves"
    levels = list(dict.fromkeys([*bare["levels"], *defended["levels"]]))
    lines = ["| attacker | without the defence | with it |", "|---|---|---|"]
    lines.append(
        f"| nobody (clean pictures) | {_share(bare['clean'])} | {_share(defended['clean'])} |"
    )
    for level in levels:
        found = [_share(each["levels"].get(level)) for each in (bare, defended)]
        lines.append(f"| `{level}`: {ATTACKERS.get(level, level)} | {' | '.join(found)} |")
    lines.append(f"| **worst case** | {_share(bare['worst'])} | {_share(defended['worst'])} |")
    yield "\n".join(lines)
    gain = facts["gain"]
    low, high = 100 * gain["low"], 100 * gain["high"]
    yield (
        f"In the worst case the defence adds {100 * gain['value']:+.1f} points (paired 95 % "
        f"interval {low:+.1f} to {high:+.1f}). In brackets 95 % intervals."
    )
    yield "## What is proved"
    proof = facts["certified"]
    if proof is not None:
        yield _proof(proof)
    else:
        yield _left_out(facts["left_out"]["certify"], "Nothing: the certificates were left out.")
    yield "## What it costs"
    yield _cost(facts)
    yield "## How it was made"
    made = {
        "nothing": "The classifier was not changed.",
        "classifier": "The classifier was fine-tuned behind the purifier.",
    }[facts["retrain"]]
    yield f"{made} Each step again, by itself:"
    yield "\n".join(["```sh", *(shlex.join(step["command"]) for step in facts["steps"]), "```"])
    yield "## How long it took"
    yield _times(facts)


def headline(facts: Mapping[str, Any]) -> str:
    """The first sentence: what the defence is worth, and against whom."""
    defended, bare, proof = facts["defended"], facts["bare"], facts["certified"]
    asked = defended["levels"].get("score")
    only = "" if asked is None else f", {percent(asked['value'])} against one who can only ask"
    proved = "nothing is proved of any picture"
    if proof is not None:
        near = proof["certified"][1]
        proved = (
            f"{percent(near['value'])} of {count(proof['images'], 'picture')} are proved to stay "
            f"right within {near['radius']:g} in L2"
        )
    return (
        f"**Of {count(defended['images'], 'test picture')} the defended classifier has at most "
        f"{percent(defended['worst']['value'])} right against an attacker who holds its weights"
        f"{only}, and {percent(defended['clean']['value'])} where nobody attacks "
        f"({threat_words(facts['threat'])}; without the defence "
        f"{percent(bare['worst']['value'])} attacked and {percent(bare['clean']['value'])} clean); "
        f"{proved}.**"
    )


def _honesty(facts: Mapping[str, Any]) -> str:
    """Whether the numbers can be trusted, and how far."""
    defended = facts["defended"]
    checks = defended["checks"]
    failed = [each["words"] for each in checks if not each["passed"]]
    said = [
        "Attacks give upper bounds: a stronger one may leave less. This suite of attacks is for "
        "development; publish numbers of `--suite standard`."
    ]
    if failed:
        said.append("**Do not trust the numbers above: " + "; ".join(failed) + ".**")
    elif checks:
        said.append(f"All {len(checks)} checks of the attacks passed.")
    if defended["images"] < FEW:
        said.append(
            f"{count(defended['images'], 'picture')} are few: the worst case lies between "
            f"{interval(defended['worst'])} %. Give more time by `--budget`."
        )
    said += [f"{text[0].upper()}{text[1:]}." for text in defended["warnings"]]
    gain = facts["gain"]
    if gain["low"] <= 0:
        said.append("**The gain in the worst case may be nothing: its interval reaches zero.**")
    return " ".join(said)


def _left_out(step: Mapping[str, Any], told: str) -> str:
    """A step that takes too long here, and the command that does it later."""
    return (
        f"{told} They take about {_minutes(step['seconds'])} here, more than the budget has left "
        f"for them. This command makes them:\n\n```sh\n{shlex.join(step['command'])}\n```"
    )


def _proof(proof: Mapping[str, Any]) -> str:
    rows = "; ".join(
        f"{percent(row['value'])} ({interval(row)}) within {row['radius']:g}"
        for row in proof["certified"]
    )
    return (
        f"Certified accuracy of {count(proof['images'], 'picture')}: {rows} (L2). It is of the "
        f"purifier without its noise and the classifier, as they vote under Gaussian noise of "
        f"{proof['sigma']:g} on the pixels, with a probability of error of {proof['alpha']:g} for "
        "each picture; the deployed mean of logits has no certificate."
    )


def _cost(facts: Mapping[str, Any]) -> str:
    names = {
        "peer": "the classifier alone",
        "draw": "one draw",
        "draws": count(facts["defended"]["draws"], "draw"),
        "consensus": "as many draws as it takes",
    }
    lines = ["| one picture | median, ms |", "|---|---|"]
    lines += [
        f"| {names[each['what']]}{'' if each['what'] == 'peer' else ', ' + each['backend']} | "
        f"{each['ms']:g} |"
        for each in facts["latency"]
    ]
    parity = facts["exported"]["files"]
    return "\n".join(lines) + (
        f"\n\n`exported/` holds {', '.join(parity)} as ONNX, compared with torch before they were "
        'written; `alp.deploy.Runtime("exported")` runs them without torch.'
    )


def _times(facts: Mapping[str, Any]) -> str:
    """The plan of the budget beside what was taken."""
    lines = ["| step | planned | taken |", "|---|---|---|"]
    lines.append(f"| reading and measuring | | {_minutes(facts['measured'])} |")
    lines += [
        f"| {step['name']} | {_minutes(step['planned'])} | {_minutes(step['seconds'])} |"
        for step in facts["steps"]
    ]
    lines.append(f"| **all** | {_minutes(facts['budget'])} asked | {_minutes(facts['seconds'])} |")
    told = "\n".join(lines)
    if facts["seconds"] <= OVER * facts["budget"]:
        return told
    return (
        f"{told}\n\nIt took longer than was asked for: the least that is done of each step takes "
        "longer on this machine, or it became busier than it was when the plan was made."
    )


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min"


def _share(share: Mapping[str, float] | None) -> str:
    return "" if share is None else f"{percent(share['value'])} ({interval(share)})"

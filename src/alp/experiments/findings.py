"""The paper's claims beside the records: reproduced, not reproduced, or true only under some
protocols. Needs neither model nor data, and no torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from alp.errors import AlpError, choose
from alp.experiments.claims import DATA, Claim, claims
from alp.experiments.measures import MEASURES, Runs, Value
from alp.experiments.measures.field import CERTIFICATES, LEADERBOARD, QUERIES
from alp.records import KIND_BENCH, KIND_QUERIES, KIND_ROBUSTNESS, KIND_VERDICT, Kept
from alp.records.certificates import KIND_CERTIFICATE
from alp.report.claims import Finding, Judged

_KINDS = {
    KIND_ROBUSTNESS: ("hierarchy",),
    KIND_VERDICT: ("honest", LEADERBOARD),
    KIND_BENCH: ("speed",),
    KIND_CERTIFICATE: (CERTIFICATES,),
    KIND_QUERIES: (QUERIES,),
}
"""What a record that names no experiment may stand for, by its kind."""

COMMANDS = {
    LEADERBOARD: "the commands of docs/leaderboard.md",
    CERTIFICATES: "`alp certify cifar10-certified`",
    QUERIES: "`alp evaluate cifar10-lite/standard --suite queries`",
}
"""What makes records that are of no experiment."""

FORMS = {
    "%": "{:.2f}\u202f%",
    "points": "{:.2f} points",
    "% of the mean": "{:.1f}\u202f% of the mean",
    "dB": "{:.2f}\u202fdB",
    "dB off": "{:.2f}\u202fdB off",
    "% agreement": "{:.0f}\u202f% agreement",
    "latent units": "{:.3f}",
    "times": "{:,.0f}\u202f\u00d7",
    "times as long": "{:.1f}\u202f\u00d7",
    "votes an image": "{:,.0f} votes an image",
    "times larger": "{:.2f}\u202f\u00d7",
}
"""Unit to the text of a value in it."""


def judge(kept: Sequence[Kept]) -> list[Judged]:
    """Every claim with what the records say of it; none where no record is about any.

    A claim is about CIFAR-10: records of other data say nothing of it. Of several runs the
    experiment's own comes before what other commands made, whose rows are other models, and then
    the one with the most images, over all trials.
    """
    runs = chosen_runs(kept)
    judged = [_judged(claim, runs) for claim in claims()]
    return judged if any(each.findings for each in judged) else []


def chosen_runs(kept: Iterable[Kept]) -> Runs:
    """Experiment to the records of the run that counts. What no experiment made has no run: all
    records of it are there, and a measure chooses."""
    found: dict[str, dict[str, list[Kept]]] = {}
    for each in kept:
        data = each.record.header.get("data")
        if isinstance(data, dict) and data.get("name") == DATA:
            for item in _items(each):
                found.setdefault(item, {}).setdefault(each.folder, []).append(each)
    return {
        item: [each for run in folders.values() for each in run]
        if item in COMMANDS
        else max(
            folders.values(),
            key=lambda run: (run[0].item == item, sum(len(each.record) for each in run)),
        )
        for item, folders in found.items()
    }


def _items(kept: Kept) -> tuple[str, ...]:
    """The experiments that a record may stand for."""
    if kept.item:
        return (kept.item,)
    found = _KINDS.get(kept.record.kind, ())
    # Older verdicts do not say which defence they are of.
    return tuple(e for e in found if e != LEADERBOARD or kept.record.header.get("defence"))


def _judged(claim: Claim, runs: Runs) -> Judged:
    measure = choose(MEASURES, claim.quantity, "quantity of a claim")
    try:
        values = list(measure(runs, claim))
    # A record that lacks what the measure needs is refused where the page shows it.
    except (AlpError, LookupError, TypeError):
        values = []
    commands = " and ".join(COMMANDS.get(item, f"`alp reproduce {item}`") for item in claim.items)
    return Judged(
        id=claim.id,
        sentence=claim.sentence,
        place=claim.place,
        published=claim.stated or _published(claim),
        value=None if claim.stated else claim.value,
        holds=_criterion(claim),
        by_construction=claim.by_construction,
        note=claim.note,
        measure=f"no record of {DATA}: run {commands}",
        findings=tuple(_finding(claim, value) for value in values),
    )


def _finding(claim: Claim, value: Value) -> Finding:
    form = FORMS[claim.unit]
    beside = []
    if value.interval is not None:
        low, high = (form.format(end).split("\u202f")[0].split(" ")[0] for end in value.interval)
        beside.append(f"{low} to {high}")
    if value.sd is not None:
        beside.append(f"SD {value.sd:.2g}")
    return Finding(
        protocol=value.protocol,
        value=value.value,
        words=_minus(form.format(value.value)),
        interval=_minus("; ".join(beside)),
        holds=_holds(claim, value),
        records=tuple(each.path for each in value.records),
    )


def _holds(claim: Claim, value: Value) -> bool:
    if claim.criterion == "about":
        return abs(value.value - claim.value) <= claim.tolerance
    if claim.criterion == "at least":
        return value.value >= claim.value
    if claim.criterion == "at most":
        return value.value <= claim.value
    if claim.upper is not None:
        return claim.value <= value.value <= claim.upper
    lowest = value.value if value.interval is None else value.interval.low
    return lowest > claim.value


def _published(claim: Claim) -> str:
    form = FORMS[claim.unit]
    text = _minus(form.format(claim.value))
    if claim.upper is not None:
        text = f"{text} to {form.format(claim.upper)}"
    return text if claim.sd is None else f"{text}, SD {claim.sd:g}"


def _criterion(claim: Claim) -> str:
    form = FORMS[claim.unit]
    if claim.criterion == "about":
        return f"counts within {form.format(claim.tolerance)} of the published value"
    bound = _minus(form.format(claim.value))
    if claim.upper is not None:
        return f"counts from {bound} to {form.format(claim.upper)}"
    surely = "surely " if claim.criterion == "more than" else ""
    return f"counts when {surely}{claim.criterion} {bound}"


def _minus(text: str) -> str:
    return text.replace("-", "\u2212")

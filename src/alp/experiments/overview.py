"""The first screen of the page: what the paper claims, what is true, and why they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from alp.errors import AlpError
from alp.experiments.claims import Claim, claims
from alp.experiments.findings import chosen_runs
from alp.experiments.measures import Runs, hierarchy, honest
from alp.experiments.measures.base import named
from alp.experiments.measures.honest import COMPACT
from alp.records import Kept
from alp.report.claims import OWN, Finding, Judged, totals
from alp.report.format import threat_words
from alp.report.overview import Mark, Overview

PUBLISHED = "in the paper"
SERIES = {"masked": "PGD, hidden gradient", "single": "PGD, true gradient"}
"""Level of knowledge to its words in the chart."""

WORST = "worst case of all attacks"
MINUS = "\u2212"


def overview(kept: Sequence[Kept], judged: Sequence[Judged]) -> Overview | None:
    """The overview of records of all of the paper's defences; None where some are missing."""
    found, runs = {each.id: each for each in judged}, chosen_runs(kept)
    theirs = [each for each in judged if each.place != OWN]
    try:
        return Overview(
            claimed=_claimed(found),
            true=(
                *_true(found, runs),
                f"Of {len(theirs)} claims: {', '.join(words for _, words in totals(theirs))}.",
            ),
            why=_why(found, runs),
            chart=_chart(runs),
            caption=_caption(runs),
            title="Accuracy under attack, by what the attacker may follow",
        )
    # Without a number a sentence would be a guess.
    except (AlpError, LookupError, TypeError):
        return None


def _claimed(found: dict[str, Judged]) -> tuple[str, ...]:
    robust = {key: found[f"hierarchy.{key}.robust"].published for key in ("baseline", "alp", "at")}
    both = found["hierarchy.a-alp-at.robust"].published.split(",")[0]
    return (
        "A small autoencoder with learned noise, the purifier (ALP), in front of an image "
        "classifier takes attacks out of the pictures. Under attack it keeps "
        f"{robust['alp']} right where an undefended classifier keeps {robust['baseline']}, and "
        f"lifts adversarial training (AT) from {robust['at']} to {both}.",
        "A stop-gradient leaves the attacker no gradient to follow. Noise with a sigma of "
        f"{found['tradeoff.optimum'].published} protects best, and training finds "
        f"{found['sigma.mean'].published} by itself.",
    )


def _true(found: dict[str, Judged], runs: Runs) -> tuple[str, ...]:
    gain, worst = (_finding(found, "hierarchy.gain", level) for level in ("single", "worst case"))
    alone = _finding(found, "zero-shot.gain", "worst case")
    suite = runs["honest"][0].record.header
    return (
        f"Purifier and AT together differ from AT alone by {gain.words} ({gain.interval}) under "
        f"the paper's attack, and by {worst.words} ({worst.interval}) in the worst case over all "
        f"attacks. The paper says {found['hierarchy.gain'].published}.",
        f"Without AT the purifier is worth {alone.words} ({alone.interval}) in the worst case. Its "
        "classifier was fine-tuned on purified images and never saw an attack. Both worst cases "
        f"are upper bounds: suite {suite['suite']}, {suite['images']} images.",
    )


def _why(found: dict[str, Judged], runs: Runs) -> tuple[str, ...]:
    held, worst = (_finding(found, "masking.protects", each) for each in ("masked", "worst case"))
    agree = _finding(found, "masking.differentiable")
    at, sigma = _finding(found, "hierarchy.at.robust"), _finding(found, "sigma.mean")
    return (
        f"The attacker. One who follows the stop-gradient takes {held.words} from the defence, the "
        f"worst case {worst.words}. The hidden gradient agrees with "
        f"finite differences on {agree.words.removesuffix(' agreement')} of the images.",
        f"The comparison. AT alone keeps {at.words} here, and "
        f"{found['hierarchy.at.robust'].published} in the paper: what helps a weak defence need "
        "not help a strong one.",
        f"The scale. Sigma ({sigma.words} here) has a meaning only beside the latent's scale, and "
        f"PSNR is what the training is told to reach. {_small(found, runs)}".rstrip(),
    )


def _small(found: dict[str, Judged], runs: Runs) -> str:
    """Sentences on a latent that holds less than a picture, where it gives the paper's numbers:
    with what they cost in the worst case, without which they would look like a success."""
    try:
        sigma = _finding(found, "sigma.mean", COMPACT)
        robust = _finding(found, "hierarchy.a-alp-at.robust", f"single, {COMPACT}")
        worst = _finding(found, "hierarchy.gain", f"worst case, {COMPACT}")
    except LookupError:
        return ""
    if not (sigma.holds and robust.holds):
        return ""
    images = next(
        each.record.header["images"] for each in runs[COMPACT] if each.path in worst.records
    )
    return (
        f"A latent of a third of a picture's values comes to the paper's sigma ({sigma.words}) and "
        f"accuracy ({robust.words} for purifier and AT), but is {_beside(worst)} AT alone in the "
        f"worst case ({images} images)."
    )


def _beside(finding: Finding) -> str:
    """A difference as a place: ``4.00 points below``."""
    return f"{finding.words.lstrip(MINUS)} {'below' if finding.value < 0 else 'above'}"


def _finding(found: dict[str, Judged], id: str, protocol: str | None = None) -> Finding:
    for each in found[id].findings:
        if protocol in (None, each.protocol):
            return each
    raise LookupError(f"{id} is not measured under {protocol}")


def _chart(runs: Runs) -> dict[str, dict[str, Mark]]:
    chart = {}
    for claim in claims():
        if claim.quantity == "robust":
            marks = {PUBLISHED: Mark(claim.value)} | _levels(runs, claim)
            worst = honest.worst_case(runs, claim.row)
            if worst is None:
                raise LookupError(f"the worst case of {claim.row} is not judged")
            chart[claim.row] = marks | {WORST: Mark(worst.value, *(worst.interval or ()))}
    return chart


def _levels(runs: Runs, claim: Claim) -> dict[str, Mark]:
    # Without a purifier there is no stop-gradient to be held back by.
    purified = any(each.record.header["sigma"] for each in named(runs["hierarchy"], claim.row))
    levels = tuple(SERIES) if purified else ("single",)
    values = hierarchy.robust(runs, replace(claim, protocols=levels))
    return {SERIES[each.protocol]: Mark(each.value, *(each.interval or ())) for each in values}


def _caption(runs: Runs) -> str:
    table, adaptive = (runs[item][0].record.header for item in ("hierarchy", "honest"))
    return (
        f"{table['data']['name']} ({table['data']['split']}), {threat_words(table['threat'])}. "
        f"PGD-{table['attack']['steps']}: {table['images']:,} images, means over trials; all "
        f"attacks: suite {adaptive['suite']}, {adaptive['images']} images. Lines: 95 % intervals. "
        "The paper gives no radius."
    )

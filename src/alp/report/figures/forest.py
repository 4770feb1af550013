"""Defences side by side: Table II, the same under adaptive attacks, and zero-shot purifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from alp.errors import RecordError
from alp.records import (
    KIND_POINTS,
    KIND_ROBUSTNESS,
    KIND_VERDICT,
    Record,
    aggregate,
    conclude,
    mean,
    measured,
)
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import (
    BLUE,
    GREEN,
    ORANGE,
    PINK,
    RED,
    SKY,
    canvas,
    legend,
    name_rows,
    styled,
)
from alp.report.format import count, some, terms, threat_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Rows = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Defence to what is attacked to ``value``, ``low`` and ``high`` in [0,1]."""

WORST = "worst case"

_MANY = 12
"""More defences or lines than these are too many for the usual figure."""

_LONGEST = 40
"""Letters of a name that fit the legend."""

_MARKS = ((BLUE, "s"), (ORANGE, "^"), (GREEN, "D"), (RED, "o"), (PINK, "v"), (SKY, "P"))


def caption_hierarchy(records: Sequence[Record]) -> str:
    """Terms."""
    rows = _hierarchy(records)
    return (
        f"Accuracy of {count(len(rows), 'defence')} under each level of attacker knowledge; lines: "
        f"95 % Wilson intervals of the mean over trials. {terms(records)}"
    )


@FIGURES.register("hierarchy", order=0)
@drawing("The hierarchy of defences", KIND_ROBUSTNESS, caption=caption_hierarchy)
@styled
def draw_hierarchy(records: Sequence[Record]) -> Figure:
    """The accuracies of each defence, means over its trials."""
    return _forest(_hierarchy(records))


def caption_honest(records: Sequence[Record]) -> str:
    """Terms, the worst cases, and what the checks of the attacks say."""
    rows = _honest(records)
    header = records[0].header
    judged = max(record.header["evaluations"] for record in records)
    worst = "; ".join(
        f"{name} {100 * cells[WORST]['value']:.1f} % "
        f"({100 * cells[WORST]['low']:.1f}\u2013{100 * cells[WORST]['high']:.1f})"
        for name, cells in rows.items()
    )
    checks = [each for record in records for each in record.header["checks"]]
    passed = sum(bool(each["passed"]) for each in checks)
    where = "under every level of attacker knowledge" if len(rows) <= _MANY else "without an attack"
    return (
        f"Accuracy {where}, suite {header['suite']}, and the worst "
        f"case over all attacks: {worst}. Lines: 95 % Wilson intervals. {passed} of "
        f"{count(len(checks), 'check')} of the attacks passed. "
        f"{count(header['images'], 'image')} of {header['data']['name']} "
        f"({header['data']['split']}); {threat_words(header['threat'])}; judged on "
        f"{count(judged, 'fresh prediction')}; seed {header['seed']}."
    )


@FIGURES.register("honest", order=10)
@drawing("The hierarchy under adaptive attacks", KIND_VERDICT, caption=caption_honest)
@styled
def draw_honest(records: Sequence[Record]) -> Figure:
    """The accuracies of each defence under every attacker, and the worst case of all; of many
    defences a line each, the best first, with what is right clean and in the worst case."""
    rows = _honest(records)
    if len(rows) <= _MANY:
        return _forest(rows)
    best = sorted(rows, key=lambda name: -rows[name][WORST]["value"])
    return _forest({kind: {name: rows[name][kind] for name in best} for kind in ("clean", WORST)})


def caption_compact(records: Sequence[Record]) -> str:
    """Terms, worst cases, and what the latent passes of a picture."""
    verdicts, variant = _compact(records)
    clean, *attacked = measured(variant)
    passed = ", ".join(f"{100 * mean(p.passed).value:.0f} % ({p.level})" for p in attacked)
    sigma = variant.header["sigma"]
    return (
        f"A latent of fewer values than a picture. Purified clean images have "
        f"{mean(clean.psnr).value:.2f} dB at the learned sigma, {sigma:.3f}; "
        f"{passed} of an attack's length passes ({count(len(variant), 'image')}). "
        f"{caption_honest(verdicts)}"
    )


@FIGURES.register("compact", order=20)
@drawing(
    "A latent of 1,024 values under adaptive attacks",
    KIND_VERDICT,
    KIND_POINTS,
    caption=caption_compact,
    experiment_only=True,
)
@styled
def draw_compact(records: Sequence[Record]) -> Figure:
    """The accuracies of adversarial training, alone and behind the compact purifier."""
    return _forest(_honest(_compact(records)[0]))


def _compact(records: Sequence[Record]) -> tuple[list[Record], Record]:
    """The verdicts, and the points of the purifier."""
    points = [record for record in some(records) if record.kind == KIND_POINTS]
    verdicts = [record for record in records if record.kind == KIND_VERDICT]
    for kind, found in ((KIND_POINTS, points), (KIND_VERDICT, verdicts)):
        if not found:
            raise RecordError(f"there is no record of the kind {kind!r}; run the experiment again")
    measured(points[0])
    return verdicts, points[0]


def caption_unmodified(records: Sequence[Record]) -> str:
    """Terms."""
    rows = _unmodified(records)
    return (
        f"Accuracy of {' and '.join(rows)}: the purifier, trained on clean images, before "
        "classifiers that nobody fine-tuned, and these alone, for which every attacker is one. "
        f"Lines: 95 % Wilson intervals. {terms(records)}"
    )


@FIGURES.register("unmodified", order=16)
@drawing("A purifier before classifiers as they are", KIND_POINTS, caption=caption_unmodified)
@styled
def draw_unmodified(records: Sequence[Record]) -> Figure:
    """The accuracies of each classifier, alone and behind the purifier."""
    return _forest(_unmodified(records))


def _unmodified(records: Sequence[Record]) -> Rows:
    return {
        record.name: {point.level: vars(point.accuracy) for point in measured(record)}
        for record in some(records)
    }


def _hierarchy(records: Sequence[Record]) -> Rows:
    groups: dict[str, list[Record]] = {}
    for record in some(records):
        groups.setdefault(record.name, []).append(record)
    rows = {name: aggregate(groups[name]) for name in sorted(groups)}
    return {
        name: {"clean": row["clean"], **row["robust"], WORST: row["worst"]}
        for name, row in rows.items()
    }


def _honest(records: Sequence[Record]) -> Rows:
    found = [conclude(record) for record in some(records)]
    return {
        each["name"]: {"clean": each["clean"], **each["levels"], WORST: each["worst"]}
        for each in sorted(found, key=lambda each: str(each["name"]))
    }


def _forest(rows: Rows) -> Figure:
    """A line of the figure for each inner key, an attacker say, and a mark for each outer one."""
    # The longest list has the order of the levels; the worst case closes.
    ordered = sorted(rows.values(), key=len, reverse=True)
    kinds = list(dict.fromkeys(k for cells in ordered for k in cells if k != WORST))
    kinds += [WORST] if any(WORST in cells for cells in ordered) else []
    step = 0.8 / max(1, len(rows))
    figure, (axes,) = canvas(0.8 + (0.3 if len(kinds) <= _MANY else 0.16) * len(kinds))
    for number, (name, cells) in enumerate(rows.items()):
        colour, marker = _MARKS[number % len(_MARKS)]
        shown = [kind for kind in kinds if kind in cells]
        places = [kinds.index(kind) - 0.4 + step * (number + 0.5) for kind in shown]
        value, low, high = (
            [100 * cells[kind][key] for kind in shown] for key in ("value", "low", "high")
        )
        axes.hlines(places, low, high, color=colour, linewidth=1.0, clip_on=False)
        label = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}\u2026"
        axes.plot(value, places, marker, color=colour, label=label, clip_on=False)
    name_rows(axes, kinds, "accuracy (%)")
    legend(figure, 2)
    return figure

"""The model card of a package, in the Hugging Face layout, from its manifest alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

import yaml

from alp.errors import AlpError, install
from alp.report.format import attack_words, grey_levels, interval, percent, threat_words

_HUB_DATASETS = {"cifar10": "uoft-cs/cifar10"}

_SAME = ("suite", "images", "threat", "data", "data_digest", "seed")


def render_card(manifest: Mapping[str, Any]) -> str:
    """``README.md``: YAML front matter with the results, then rows, evaluation, training, use and
    limits.

    Raises:
        AlpError: jinja2 is not installed.
    """
    if find_spec("jinja2") is None:
        raise AlpError(f"the model card needs jinja2: {install('report')}")
    from jinja2 import Environment, StrictUndefined

    rows, default = manifest["rows"], manifest["default"]
    data = {"name": rows[default]["training"]["data"]}
    environment = Environment(undefined=StrictUndefined)  # Markdown: nothing is escaped
    template = environment.from_string(files("alp.report").joinpath("card.md").read_text())
    text = template.render(
        manifest,
        front=yaml.safe_dump(_front(manifest), sort_keys=False, allow_unicode=True),
        data=data,
        default=rows[default],
        default_row=default,
        verdicts=list(_verdicts(rows)),
        certificates=[
            (row, told)
            for row, each in rows.items()
            for told in each["evaluation"].get("certificates", [])
        ],
        protocols=[
            (row, told) for row, each in rows.items() for told in each["evaluation"]["protocols"]
        ],
        adversary=_adversary,
        attack=attack_words,
        interval=interval,
        passed=_passed,
        percent=percent,
        points=lambda share: f"{100 * share:+.1f}",
        precision=_precision,
        sigma=lambda value: "" if value is None else f"{value:.3g}",
        threat=threat_words,
        time=lambda seconds: f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s",
    )
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return re.sub("\n{3,}", "\n\n", lines) + "\n"


def _front(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata that the hub reads."""
    row = manifest["rows"][manifest["default"]]
    name = row["training"]["data"]
    dataset = {"name": name, "type": _HUB_DATASETS.get(name, name)}
    results = [
        {
            "task": {"type": "image-classification"},
            "dataset": dataset | {"split": told["data"]["split"]},
            "metrics": [
                {"type": "accuracy", "name": "clean accuracy", "value": told["clean"]["value"]},
                {
                    "type": "accuracy",
                    "name": f"worst case, {threat_words(told['threat'])}, suite {told['suite']}, "
                    f"{told['images']} images",
                    "value": told["worst"]["value"],
                },
            ],
        }
        for told in row["evaluation"]["verdicts"]
    ]
    front = {
        "license": manifest["licences"]["weights"].lower(),
        "library_name": "alp",
        "pipeline_tag": "image-classification",
        "tags": ["adversarial-robustness", "adversarial-purification"],
        "datasets": [dataset["type"]],
        "metrics": ["accuracy"],
    }
    return front | (
        {"model-index": [{"name": manifest["name"], "results": results}]} if results else {}
    )


def _verdicts(rows: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The verdicts that were made on the same terms, the terms of the most thorough first."""
    judged = [(row, told) for row, each in rows.items() for told in each["evaluation"]["verdicts"]]
    terms: list[dict[str, Any]] = []
    for _, told in judged:
        own = {key: told[key] for key in _SAME}
        if own not in terms:
            terms.append(own)
    for each in sorted(terms, key=lambda own: -own["images"]):
        alike = [(row, told) for row, told in judged if all(told[k] == each[k] for k in _SAME)]
        knowledge = {
            level: " ".join(words.split())
            for _, told in alike
            for level, words in told["knowledge"].items()
        }
        levels = [level for level in knowledge if any(level in told["levels"] for _, told in alike)]
        yield each, {"rows": alike, "levels": levels, "knowledge": knowledge}


def _passed(checks: Sequence[Mapping[str, Any]]) -> str:
    return f"{sum(check['passed'] for check in checks)} of {len(checks)}"


def _precision(agreement: Mapping[str, Any]) -> str:
    """How a row is stored, and what that was found to cost."""
    kind = "half" if agreement["half"] else "single"
    largest = agreement["difference"]
    return (
        f"{kind}; rounding leaves {100 * agreement['equal']:.2f} % of {agreement['images']} "
        f"validation decisions, largest difference "
        f"{'infinite' if largest is None else format(largest, '.2g')}"
    )


def _adversary(training: Mapping[str, Any]) -> str:
    """The attack of an adversarial training in words."""
    adversary = training["settings"].get("adversary", {"method": "none"})
    if adversary["method"] == "none":
        return "none"
    steps = "" if adversary["method"] == "nfgsm" else f"-{adversary['steps']}"
    eps = grey_levels(adversary["eps"]) if adversary["norm"] == "linf" else adversary["eps"]
    return f"{adversary['method']}{steps}, {adversary['norm']}, eps {eps}"

"""Evaluation results for the Hugging Face hub, from records.

``add_results`` puts them where the hub reads them: into the ``model-index`` of the card, and into
``.eval_results/alp.yaml``, which leaderboards of data sets are made from.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, ModelCard, eval_result_entries_to_yaml

from alp.defences.checkpoint import load_model, weights_digest
from alp.defences.hub import WEIGHTS
from alp.errors import RecordError
from alp.files import expanded, require_writable
from alp.records import Record, conclude

HUB_DATASETS = {"cifar10": "uoft-cs/cifar10"}
"""Name of a data set to its repository on the hub."""

RESULTS = ".eval_results/alp.yaml"


def entries(record: Record) -> list[EvalResultEntry]:
    """A verdict as the hub's ``EvalResultEntry``: clean accuracy and worst case in per cent, with
    threat, suite, images and interval in the notes. None where the hub has no such data set.

    Raises:
        RecordError: it is no verdict record.
    """
    dataset = HUB_DATASETS.get(record.header["data"]["name"])
    if dataset is None:
        return []
    return [
        EvalResultEntry(dataset, task, round(100 * each["value"], 2), notes=words)
        for task, each, words in _numbers(record)
    ]


def add_results(folder: str | Path, records: Sequence[Record]) -> None:
    """Add verdicts to the folder that ``save_pretrained`` wrote; earlier ones are replaced.

    Args:
        records: of ``alp.evaluate`` with a suite, of the very weights in the folder.

    Raises:
        RecordError: a record is no verdict, or one of other weights.
        CheckpointError: the folder holds no model.
        OutputError: it cannot be written.
    """
    folder = expanded(folder)
    digest = weights_digest(load_model(folder / WEIGHTS))
    for record in records:
        if record.header.get("weights", {}).get("model") != digest:
            raise RecordError(
                f"the record {record.name!r} judges other weights than those of {folder}; give "
                "records that 'alp evaluate' made of this folder"
            )
    told = [each for record in records for each in _card_results(record)]
    found = [each for record in records for each in entries(record)]
    require_writable(folder, "README.md", RESULTS)
    card = ModelCard.load(folder / "README.md")
    card.data.model_name = card.data.model_name or folder.resolve().name
    card.data.eval_results = told
    card.save(folder / "README.md")
    path = folder / RESULTS
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(eval_result_entries_to_yaml(found), sort_keys=False), "utf-8")


def _card_results(record: Record) -> list[EvalResult]:
    data = record.header["data"]
    return [
        EvalResult(
            task_type="image-classification",
            dataset_type=HUB_DATASETS.get(data["name"], data["name"]),
            dataset_name=data["name"],
            dataset_split=data["split"],
            metric_type="accuracy",
            metric_name=f"{task.replace('_', ' ')}, {words}",
            metric_value=each["value"],
        )
        for task, each, words in _numbers(record)
    ]


def _numbers(record: Record) -> list[tuple[str, dict[str, Any], str]]:
    """Task, accuracy and what it was measured by."""
    told = conclude(record)
    threat = record.header["threat"]
    size = f"{told['images']} images"
    attack = f"{threat['name']} eps {threat['eps']:.5g}, suite {told['suite']}, {size}"
    return [
        (task, each, f"{words}, 95 % interval {100 * each['low']:.1f} to {100 * each['high']:.1f}")
        for task, each, words in (
            ("clean_accuracy", told["clean"], size),
            ("worst_case_accuracy", told["worst"], attack),
        )
    ]

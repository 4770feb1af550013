"""Finished trainings and the records of their evaluation in, a package of weights out."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alp.config import digest, to_dict
from alp.data import Images
from alp.errors import CheckpointError, ConfigError, choose
from alp.evaluation.records import Record
from alp.files import read_json
from alp.models import Defended
from alp.models.checkpoint import Model, describe, load_model, save_model, weights_digest
from alp.models.packaged import CARD, FORMAT, MANIFEST, OFFERS, Package, open_package, seal
from alp.version import __version__
from alp.workflows.appraising import Agreement, appraise
from alp.workflows.evaluating import draws_of, sigma_of
from alp.workflows.evidence import differences, evaluations_of

DEFAULT = "defended"
"""The row that the name of a package alone stands for."""

POINTS = 40
"""Points of a training's curves in a manifest."""


@dataclass(frozen=True)
class Row:
    """A row that a package may have."""

    title: str
    """What tables call it."""
    draws: int | None = None
    """Draws of its prediction, where they are not those of the weights file."""


ROWS = {
    "purifier": Row("ALP purifier"),
    "standard": Row("baseline"),
    "adversarial": Row("AT"),
    "standalone": Row("ALP standalone", 1),
    "defended": Row("A-ALP + AT"),
    "control": Row("AT of the same size as A-ALP + AT"),
    "input-noise": Row("AT + noise at the input"),
    "frozen-sigma": Row("A-ALP + AT, sigma frozen"),
    "zero-sigma": Row("A-ALP + AT, sigma 0", 1),
}
"""Name to row: those of Table II, and the controls."""

DATA_LICENCES = {
    "cifar10": "CIFAR-10 (Krizhevsky 2009) is distributed without a licence; its authors ask to "
    "be cited",
    "shapes": "drawn by alp, MIT",
}

Card = Callable[[Mapping[str, Any]], str]
"""A manifest to its model card."""


def pack(
    name: str,
    trained: Mapping[str, Path],
    out: Path,
    images: Images,
    card: Card,
    *,
    records: Sequence[Record] = (),
    report: Callable[[str, Agreement], None] = lambda row, agreement: None,
) -> Package:
    """Write the package ``out/name``: safetensors, ``manifest.json`` and the model card.

    A row is stored in half precision where that changes nothing on ``images``
    (:func:`alp.workflows.appraising.appraise`). Parts that two rows share are stored once. The
    folder replaces an older one as a whole when it is finished.

    Args:
        trained: row to the folder of a finished training.
        images: validation images on which the precision is decided.
        records: of the rows' evaluation, found by the digest of the weights.
        report: called after each row.

    Raises:
        UnknownNameError: there is no such row.
        ConfigError: the default row is missing, or the package is larger than its limit.
        CheckpointError: a training is missing, unfinished or damaged.
        RecordError: a record is damaged, or of a kind that is no evaluation.
    """
    for row in trained:
        choose(ROWS, row, "row")
    if DEFAULT not in trained:
        raise ConfigError(f"the rows are {', '.join(trained)}; one has to be {DEFAULT!r}")
    staged = out / f".{secrets.token_hex(4)}.{name}"
    staged.mkdir(parents=True)
    try:
        manifest = _Packing(staged, images, report).run(name, trained, records)
        (staged / CARD).write_text(card(manifest))
        manifest["files"][CARD] = _file(staged / CARD)
        (staged / MANIFEST).write_bytes(seal(manifest))
        _require_small(name, open_package(staged))
        _replace(staged, out / name)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    package = open_package(out / name)
    package.verify()
    return package


@dataclass(frozen=True)
class _Packing:
    """One run of :func:`pack`."""

    folder: Path
    images: Images
    report: Callable[[str, Agreement], None]

    def run(
        self, name: str, trained: Mapping[str, Path], records: Sequence[Record]
    ) -> dict[str, Any]:
        """Write the weights; the manifest without the card's digest."""
        rows: dict[str, Any] = {}
        stored: dict[str, str] = {}
        for row in (row for row in ROWS if row in trained):
            model, training = _trained(trained[row], ROWS[row].draws)
            files, packed, agreement = self._store(row, model)
            rows[row] = {
                "title": ROWS[row].title,
                "model": describe(packed),
                "parameters": sum(each.numel() for each in packed.parameters()),
                "draws": draws_of(packed),
                "sigma": sigma_of(packed),
                "digest": weights_digest(packed),
                "files": {role: self._once(stored, file) for role, file in files.items()},
                "precision": to_dict(agreement),
                "training": training,
            }
            self.report(row, agreement)
        for row, found in evaluations_of(rows, records).items():
            rows[row]["evaluation"] = found
        data = rows[DEFAULT]["training"]["data"]
        return {
            "format": FORMAT,
            "name": name,
            "default": DEFAULT,
            "alp": __version__,
            "rows": rows,
            "differences": differences(rows, DEFAULT, records),
            "licences": {"weights": "MIT", "data": DATA_LICENCES.get(data, "that of its source")},
            "files": {path.name: _file(path) for path in sorted(self.folder.glob("*.safetensors"))},
        }

    def _store(self, row: str, model: Model) -> tuple[dict[str, str], Model, Agreement]:
        """Write a row's parts: their files, the model that they hold, and how it agrees."""
        parts: dict[str, Model] = {"model": model}
        if isinstance(model, Defended):
            parts = {"classifier": model.classifier, "purifier": model.purifier}  # type: ignore[dict-item]
        files = {
            role: f"{row}.safetensors" if role == "model" else f"{row}-{role}.safetensors"
            for role in parts
        }

        def stored(half: bool) -> Model:
            for role, part in parts.items():
                save_model(part, self.folder / files[role], half=half)
            found: dict[str, Any] = {
                role: load_model(self.folder / file) for role, file in files.items()
            }
            if isinstance(model, Defended):
                return Defended(found["classifier"], found["purifier"], model.draws).eval()
            whole: Model = found["model"]
            return whole

        agreement = appraise(model, stored(half=True), self.images)
        return files, stored(agreement.half), agreement

    def _once(self, stored: dict[str, str], file: str) -> str:
        """The file that holds what ``file`` does: an earlier one, where there is one."""
        path = self.folder / file
        model = load_model(path)
        key = digest([describe(model), weights_digest(model), path.stat().st_size])
        first = stored.setdefault(key, file)
        if first != file:
            path.unlink()
        return first


def _trained(folder: Path, draws: int | None) -> tuple[Model, dict[str, Any]]:
    """A finished training's model, and its record with thinner curves."""
    model = load_model(folder / "weights.safetensors")
    record = read_json(folder / "training.json", CheckpointError)
    if weights_digest(model) != record.get("weights_digest"):
        raise CheckpointError(
            f"{folder / 'weights.safetensors'} is not what the training.json beside it describes; "
            "train again"
        )
    if draws is not None and isinstance(model, Defended):
        model = Defended(model.classifier, model.purifier, draws).eval()
    curve = {name: _thinner(values) for name, values in record.pop("curve", {}).items()}
    return model, record | {"curve": curve}


def _thinner(values: Sequence[float]) -> list[float]:
    count = min(POINTS, len(values))
    places = [round(len(values) * (point + 1) / count) - 1 for point in range(count)]
    return [float(f"{values[place]:.5g}") for place in places]


def _file(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def _require_small(name: str, package: Package) -> None:
    if name in OFFERS and package.size > OFFERS[name].limit:
        told = ", ".join(
            f"{file} {each['bytes']:,}" for file, each in package.manifest["files"].items()
        )
        raise ConfigError(
            f"{name} has {package.size:,} bytes, its limit is {OFFERS[name].limit:,} (all files: "
            f"{told}); train a smaller model for the row {DEFAULT!r}"
        )


def _replace(staged: Path, target: Path) -> None:
    """Rename ``staged`` to ``target``, over an older folder."""
    if not target.exists():
        staged.rename(target)
        return
    older = staged.with_name(f"{staged.name}.old")
    target.rename(older)
    staged.rename(target)
    shutil.rmtree(older)

"""Finished trainings and the records of their evaluation in, a package of weights out: what half
precision on disk costs each model, and its manifest."""

from __future__ import annotations

import hashlib
import math
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from alp import seeding
from alp.config import digest, to_dict
from alp.data import Images
from alp.data.quality import psnr
from alp.defences import Defended
from alp.defences.base import Defence, Model
from alp.defences.checkpoint import (
    half_kernels,
    load_model,
    not_finite,
    save,
    weights_digest,
)
from alp.defences.packaged import (
    CARD,
    FORMAT,
    MANIFEST,
    OFFERS,
    Package,
    assembled,
    open_package,
    require_classifier,
    require_purifier,
    seal,
)
from alp.defences.purifier import with_noise
from alp.defences.smoothed import Smoothed
from alp.errors import CheckpointError, ConfigError, choose
from alp.experiments.evaluated import differences, evaluations_of
from alp.experiments.workspace import BATCH
from alp.files import read_json, require_writable
from alp.records import Record
from alp.training import CertifiedStage, GuardStage
from alp.version import __version__

TOLERANCE = 0.001
"""Share of the decisions that may change: 0.1 points."""

DECIBELS = 0.01
"""Change of a purifier's PSNR that may be."""

_DRAWS = 4
"""Draws that are averaged: rounding acts on each alike, and all of them take long."""


@dataclass(frozen=True)
class Agreement:
    """A model as trained beside the same with its kernels rounded to float16, on the same images
    and draws."""

    half: bool
    """Whether it is stored in half precision: where no more than 0.1 % of the decisions change,
    and of a purifier alone, where the PSNR changes by no more than 0.01 dB."""
    images: int
    """How many were compared."""
    measure: str
    """What ``trained`` and ``rounded`` are: accuracy, or psnr of a purifier alone."""
    difference: float | None
    """The largest difference of an output, a logit or a pixel in [0,1]; None where rounding
    leaves one that is not finite."""
    equal: float
    """Share of equal decisions; of a purifier, which takes none, of images that are purified
    equally well to 0.01 dB."""
    trained: float
    """Accuracy in [0,1], or PSNR in dB, as trained."""
    rounded: float
    """The same, rounded."""


def appraise(model: Model, rounded: Model, images: Images) -> Agreement:
    """Compare a model with its rounded twin on ``images``."""
    differences, equal, scores = [], [], []
    for batch, (_, x, y) in enumerate(images.batches(BATCH)):
        outputs = [_output(each, x, batch) for each in (model, rounded)]
        differences.append(float((outputs[0] - outputs[1]).abs().max()))
        if not model.classifies:
            quality = torch.stack([psnr(x, output) for output in outputs])
            equal.append((quality[0] - quality[1]).abs() <= DECIBELS)
            scores.append(quality)
        else:
            decisions = torch.stack([output.argmax(1) for output in outputs])
            equal.append(decisions[0] == decisions[1])
            scores.append((decisions == y).double())
    same = torch.cat(equal)
    changed = int((~same).sum())
    trained, after = torch.cat(scores, 1).double().mean(1).tolist()
    difference = float(torch.tensor(differences).max())  # NaN, if there is one
    finite = math.isfinite(difference) and not_finite(rounded.state_dict()) is None
    close = (
        abs(trained - after) <= DECIBELS
        if not model.classifies
        else changed <= TOLERANCE * len(same)
    )
    return Agreement(
        half=close and finite,
        images=len(images),
        measure="psnr" if not model.classifies else "accuracy",
        difference=difference if finite else None,
        equal=1 - changed / len(same),
        trained=trained,
        rounded=after,
    )


@torch.inference_mode()
def _output(model: Model, x: Tensor, batch: int) -> Tensor:
    source = seeding.generator(0, "appraise", batch)
    if not model.classifies:
        return model(x, source)  # type: ignore[no-any-return]
    defence = require_classifier(model, "the model")
    return defence(x, source, draws=min(defence.draws, _DRAWS))  # type: ignore[no-any-return]


DEFAULTS = ("defended", "certified")
"""The row that the name of a package alone stands for: the first of these that it has."""

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
    "guard": Row("purifier alone trained, before the frozen baseline", 1),
    "diffusion": Row("diffusion model of low noise"),
    "magnet": Row("MagNet, before the frozen baseline", 1),
    "hgd": Row("HGD, before the frozen baseline", 1),
    "ensemble": Row("ensemble adversarial training", 1),
    "distilled": Row("defensive distillation", 1),
    "certified": Row("certified votes under noise"),
    "certified-half": Row("certified votes under noise of 0.5"),
    "certified-adversarial": Row("certified votes under noise, robust in Linf"),
}
"""Name to row: those of Table II, the controls, the field's, and certified votes."""

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
    onto: Package | None = None,
    report: Callable[[str, Agreement], None] = lambda row, agreement: None,
) -> Package:
    """Write the package ``out/name``: safetensors, ``manifest.json`` and the model card.

    A row is stored in half precision where that changes nothing on ``images``
    (:func:`alp.experiments.release.appraise`). Parts that two rows share are stored once. The
    folder replaces an older one as a whole when it is finished.

    Args:
        trained: row to the folder of a finished training.
        images: validation images on which the precision is decided.
        records: of the rows' evaluation, found by the digest of the weights.
        onto: a package whose rows are kept as they are, with what is said of them, where
            ``trained`` has no such row.
        report: called after each row.

    Raises:
        UnknownNameError: there is no such row.
        ConfigError: the default row is missing, or the package is larger than its limit.
        CheckpointError: a training is missing, unfinished or damaged, or the classifier before
            which it was is in no row; a file of ``onto`` is damaged.
        RecordError: a record is damaged, or of a kind that is no evaluation.
        OutputError: ``out`` cannot be written.
    """
    for row in trained:
        choose(ROWS, row, "row")
    require_writable(out)
    if onto is not None:
        onto.verify()
    kept = {} if onto is None else dict(onto.manifest["rows"])
    if not set(DEFAULTS) & {*trained, *kept}:
        raise ConfigError(
            f"the rows are {', '.join(trained)}; one has to be {' or '.join(map(repr, DEFAULTS))}"
        )
    staged = out / f".{secrets.token_hex(4)}.{name}"
    staged.mkdir(parents=True)
    try:
        manifest = _Packing(staged, images, report, onto).run(name, trained, records)
        (staged / CARD).write_text(card(manifest), "utf-8")
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
    onto: Package | None

    def run(
        self, name: str, trained: Mapping[str, Path], records: Sequence[Record]
    ) -> dict[str, Any]:
        """Write the weights; the manifest without the card's digest."""
        kept = self._kept(trained)
        rows: dict[str, Any] = {}
        stored: dict[str, str] = {}
        for file in sorted(self.folder.glob("*.safetensors")):
            self._once(stored, file.name)
        for row in (row for row in ROWS if row in {*trained, *kept}):
            if row not in trained:
                rows[row] = kept[row]
                continue
            others = partial(self._classifiers, trained)
            model, training = _trained(trained[row], ROWS[row].draws, others)
            files, packed, agreement = self._store(row, model)
            rows[row] = {
                "title": ROWS[row].title,
                "model": packed.describe(),
                "parameters": sum(each.numel() for each in packed.parameters()),
                "draws": packed.draws,
                "sigma": packed.sigma,
                "digest": weights_digest(packed),
                "classes": packed.classes,
                "files": {role: self._once(stored, file) for role, file in files.items()},
                "precision": to_dict(agreement),
                "training": training,
            }
            self.report(row, agreement)
        for row, found in evaluations_of(rows, records).items():
            if row in trained:
                rows[row]["evaluation"] = found
        default = next(row for row in DEFAULTS if row in rows)
        data = rows[default]["training"]["data"]
        return {
            "format": FORMAT,
            "name": name,
            "default": default,
            "alp": __version__,
            "rows": rows,
            "differences": self._differences(trained, rows, default, records),
            "licences": {"weights": "MIT", "data": DATA_LICENCES.get(data, "that of its source")},
            "files": {path.name: _file(path) for path in sorted(self.folder.glob("*.safetensors"))},
        }

    def _kept(self, trained: Mapping[str, Path]) -> dict[str, Any]:
        """The rows of the earlier package that are not made again, whose files are copied."""
        if self.onto is None:
            return {}
        rows = {row: each for row, each in self.onto.manifest["rows"].items() if row not in trained}
        for file in {file for each in rows.values() for file in each["files"].values()}:
            shutil.copyfile(self.onto.folder / file, self.folder / file)
        return rows

    def _classifiers(self, trained: Mapping[str, Path]) -> list[Defence]:
        """What a purifier may have been trained before: the classifiers of other rows."""
        files = [folder / "weights.safetensors" for folder in trained.values()]
        if self.onto is not None:  # as they are stored, so that one file serves both rows
            kept = [each["files"] for each in self.onto.manifest["rows"].values()]
            files += [self.onto.folder / each["model"] for each in kept if "model" in each]
        found = [load_model(file) for file in files]
        return [require_classifier(each, "a row") for each in found if each.classifies]

    def _differences(
        self,
        trained: Mapping[str, Path],
        rows: Mapping[str, Any],
        default: str,
        records: Sequence[Record],
    ) -> list[dict[str, Any]]:
        """Those of the records, and those between rows that are kept."""
        new = differences(rows, default, records)
        if self.onto is None:
            return new
        keys = ("row", "against", "suite", "images")
        told = {tuple(each[key] for key in keys) for each in new}
        return new + [
            each
            for each in self.onto.manifest["differences"]
            if not {each["row"], each["against"]} & set(trained)
            and tuple(each[key] for key in keys) not in told
        ]

    def _store(self, row: str, model: Model) -> tuple[dict[str, str], Model, Agreement]:
        """Write a row's parts: their files, the model that they hold, and how it agrees."""
        parts = model.parts()
        files = {
            role: f"{row}.safetensors" if role == "model" else f"{row}-{role}.safetensors"
            for role in parts
        }
        rounded = deepcopy(model)
        rounded.load_state_dict(half_kernels(model.state_dict()))
        agreement = appraise(model, rounded, self.images)
        for role, part in parts.items():
            save(cast(Model, part), self.folder / files[role], half=agreement.half)
        found = {role: load_model(self.folder / file) for role, file in files.items()}
        return files, assembled(found, model.describe()), agreement

    def _once(self, stored: dict[str, str], file: str) -> str:
        """The file that holds what ``file`` does: an earlier one, where there is one."""
        path = self.folder / file
        model = load_model(path)
        key = digest([model.describe(), weights_digest(model), path.stat().st_size])
        first = stored.setdefault(key, file)
        if first != file:
            path.unlink()
        return first


def _trained(
    folder: Path, draws: int | None, classifiers: Callable[[], Sequence[Defence]]
) -> tuple[Model, dict[str, Any]]:
    """A finished training's model, and its record with thinner curves."""
    model = load_model(folder / "weights.safetensors")
    record = read_json(folder / "training.json", CheckpointError)
    if weights_digest(model) != record.get("weights_digest"):
        raise CheckpointError(
            f"{folder / 'weights.safetensors'} is not what the training.json beside it describes; "
            "train again"
        )
    if record["stage"] == GuardStage.__name__:
        # as it is judged: without noise, before the classifier that it was trained before
        wanted = record["parents"]["classifier"]
        head = next((each for each in classifiers() if weights_digest(each) == wanted), None)
        if head is None:
            raise CheckpointError(
                f"{folder} was trained before a classifier of the digest {wanted[:12]}, which is "
                "in no row; give its row too, or a package that has it"
            )
        model = Defended(head, with_noise(require_purifier(model, str(folder)), 0.0), 1)
    if draws is not None and model.classifies:
        model = require_classifier(model, str(folder)).with_draws(draws)
    if record["stage"] == CertifiedStage.__name__:
        # what the training was for: votes under its noise, in the precision that it was made in
        base = require_classifier(model, str(folder))
        precision = "bfloat16" if record["precision"] == "bf16-mixed" else "float32"
        model = Smoothed(base, record["settings"]["sigma"], precision=precision)
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
            f"{told}); train a smaller model for the row "
            f"{package.manifest['default']!r}"
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

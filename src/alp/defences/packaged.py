"""Packaged weights: a folder of safetensors beside a manifest with the digest of every file.

``cifar10-lite`` names the package and its default row, ``cifar10-lite/adversarial`` another row.
What exists at a path of that name is taken first, so that no installed name can stand in the way
of a file; a folder counts only where it holds a manifest. Nothing is downloaded or unpickled.
"""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard, TypeVar, cast

from alp.config import digest
from alp.defences.base import Defence, Model, PurifierBase
from alp.defences.checkpoint import load_model, weights_digest
from alp.defences.classes import require_fixed
from alp.defences.identity import ModelOrigin
from alp.defences.preprocessed import Preprocessed
from alp.defences.purified import Defended, defend
from alp.defences.purifier import Purifier
from alp.defences.referenced import open_reference
from alp.defences.references import REFERENCES, parsed
from alp.defences.sending import is_of, remember
from alp.errors import CheckpointError, ConfigError, choose
from alp.files import JSON_LIMIT, exists, expanded, file_inside, require_shape

_CLASSIFIER = ",classifier="

M = TypeVar("M", bound="Defence | PurifierBase")

ROOT = Path(__file__).parents[1] / "weights"
"""Where the packages of the installation lie, a folder each."""

FORMAT = "alp-package-1"
"""Name and version of the manifest; another one is refused."""

MANIFEST = "manifest.json"

CARD = "README.md"

_REPAIR = "install alp again, or make the package again with 'alp package'"


_DATA = {"name": str, "classes": [str]}

_SHARE = {"value": (int, float)}

_SHAPE: Mapping[str, Any] = {
    "name": str,
    "default": str,
    "rows": {
        "*": {
            "title": str,
            "model": {"kind": str},
            "parameters": int,
            "digest": str,
            "files": {"*": str},
            "training": {},
            "evaluation": {
                "verdicts": [{"data": _DATA, "clean": _SHARE, "worst": _SHARE, "suite": str}],
                "protocols": [{"data": _DATA}],
            },
        }
    },
    "files": {"*": {"sha256": str, "bytes": int}},
}
"""What a manifest has to hold for its readers here and in the command line."""


@dataclass(frozen=True)
class Offer:
    """A package that the project knows of, whether this installation has its weights or not."""

    limit: int
    """Largest size of what its name alone stands for, in bytes: the weights of the default row,
    the manifest and the card."""
    recipe: str
    """How to train it."""


OFFERS = {
    "cifar10-lite": Offer(8_000_000, "'alp reproduce hierarchy --scale cpu --out FOLDER'"),
    "cifar10-certified": Offer(
        8_000_000, "'alp train certified --scale cpu --data cifar10 --out FOLDER'"
    ),
    "cifar10-base": Offer(40_000_000, "'alp reproduce hierarchy --scale gpu --out FOLDER'"),
}


@dataclass(frozen=True)
class Package:
    """A package whose manifest has been verified."""

    folder: Path
    """Where it lies."""
    manifest: Mapping[str, Any] = field(repr=False)
    """What ``manifest.json`` says: ``default``, ``rows`` (name to title, model, files, digest,
    training, evaluation), ``files`` (name to sha256 and size), licences and data."""

    def load(self, row: str = "") -> Model:
        """The model of a row (the default one), verified; in evaluation mode, on the CPU.

        Raises:
            UnknownNameError: there is no such row.
            CheckpointError: a file is missing or damaged, or is not what the manifest describes.
        """
        rows = self.manifest["rows"]
        wanted = choose(rows, row or self.manifest["default"], f"row of {self.folder.name}")
        parts = {role: self._part(name) for role, name in wanted["files"].items()}
        try:
            model = assembled(parts, wanted["model"])
            same = model.describe() == wanted["model"] and weights_digest(model) == wanted["digest"]
            if isinstance(model, Defence) and model.classes is None:
                model.classes = _class_names(wanted)
        except ConfigError as error:
            raise CheckpointError(f"{self.folder} cannot be read ({error}); {_REPAIR}") from error
        if not same:
            raise CheckpointError(f"{self.folder} holds another model than its manifest; {_REPAIR}")
        return model

    @property
    def size(self) -> int:
        """Bytes of what the name alone stands for."""
        weights = self.manifest["rows"][self.manifest["default"]]["files"].values()
        names = {MANIFEST, *self.manifest["files"]} & {MANIFEST, CARD, *weights}
        return sum((self.folder / name).stat().st_size for name in names)

    def verify(self) -> None:
        """Check every file against the manifest, the card included.

        Raises:
            CheckpointError: one is missing or damaged.
        """
        for name in self.manifest["files"]:
            self._checked(name)

    def _part(self, name: str) -> Model:
        return load_model(self._checked(name))

    def _checked(self, name: str) -> Path:
        path = file_inside(self.folder, name, CheckpointError, _REPAIR)
        known = self.manifest["files"].get(name)
        if known is None:
            raise CheckpointError(
                f"{self.folder / MANIFEST} gives no digest of {name!r}, which it uses; {_REPAIR}"
            )
        try:
            whole = path.stat().st_size == known["bytes"]
            found = hashlib.sha256(path.read_bytes()).hexdigest() if whole else ""
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read ({error.strerror}); {_REPAIR}") from error
        if found != known["sha256"]:
            raise CheckpointError(
                f"{path} is damaged: its sha256 is not the one in {MANIFEST}; {_REPAIR}"
            )
        return path


def _class_names(row: Mapping[str, Any]) -> list[str] | None:
    """The class names of a row whose weights were saved without them: those of the images that it
    was evaluated on, where these are of the data that it was trained on."""
    trained_on = row["training"].get("data")
    evaluations = [each for found in row["evaluation"].values() for each in found]
    data = [each.get("data", {}) for each in evaluations]
    return next((d["classes"] for d in data if "classes" in d and d["name"] == trained_on), None)


def assembled(parts: Mapping[str, Model], description: Mapping[str, Any]) -> Model:
    """The model of a ``description`` from its ``parts`` (role to model), in evaluation mode.

    Raises:
        ConfigError: the parts make no model.
    """
    if "model" in parts:
        return parts["model"]
    purifier, classifier = parts.get("purifier"), parts.get("classifier")
    if not isinstance(purifier, Purifier) or not isinstance(classifier, Defence):
        raise ConfigError(
            f"the parts {', '.join(parts) or 'none'} make no model; a purifier and a classifier do"
        )
    return Defended(classifier, purifier, description.get("draws", 1)).eval()


def load(source: str | Path) -> Model:
    """A model from a weights file, a package folder, the name of a packaged model, or a reference
    to a classifier of any kind, in evaluation mode, on the CPU. Digests are verified; nothing is
    unpickled, and nothing but a reference to a hub is downloaded.

    Args:
        source: a path to a file of ``save``, a package folder, a name that ``alp models`` lists,
            such as ``cifar10-lite`` or ``cifar10-lite/adversarial``, or a reference such as
            ``timm:resnet50``, ``net.pt2`` or ``net.py:make`` (:mod:`alp.defences.references`).
            After a package folder or name, ``/ROW`` chooses a row; after a weights file,
            ``,classifier=REFERENCE`` says where the classifier is that it refers to. Existing
            paths are taken before names. After a purifier, ``,classifier=REFERENCE`` puts it before
            any classifier; of a defended one, in the place of the purifier there.

    Raises:
        UnknownNameError: the package has no such row.
        CheckpointError: there is nothing of that path or name, or it is damaged.
        AlpError: the classifier of a reference cannot be opened.
    """
    model = _found(source)
    if isinstance(model, Defence):
        remember(model, source)
    return model


def _found(source: str | Path) -> Model:
    if not isinstance(source, str | Path):
        raise CheckpointError(
            f"a model is loaded from {type(source).__name__}; give a path or a name as text"
        )
    path = expanded(source)
    file, comma, classifier = str(source).partition(_CLASSIFIER)
    if comma and not exists(path):
        return _before(file, classifier)
    reference = parsed(source) if path.suffix in (*REFERENCES, ".py") or not exists(path) else None
    if reference is not None:
        return open_reference(reference)
    if exists(path):
        return load_model(path)
    if exists(path / MANIFEST):
        return open_package(path).load()
    if exists(path.parent / MANIFEST):
        return open_package(path.parent).load(path.name)
    name, _, row = Path(source).as_posix().partition("/")
    if name in packages():
        return open_package(ROOT / name).load(row)
    if name in OFFERS:
        raise CheckpointError(
            f"the weights of {name!r} are not packaged, it ships as a recipe: train it with "
            f"{OFFERS[name].recipe} and load the weights by their path"
        )
    if exists(path, Path.is_dir):
        raise CheckpointError(f"{path} is a folder without {MANIFEST}; give a weights file in it")
    raise CheckpointError(
        f"there is no model file {str(source)[:300]}; train one with 'alp train', give the name "
        f"of a packaged one: {', '.join(packaged_names()) or 'this installation has none'}; or a "
        "reference to a classifier: timm:NAME, hf:NAME, FILE.pt2, FILE.onnx, FILE.py:FUNCTION"
    )


def _before(file: str, classifier: str) -> Model:
    """The model of a weights file or a name that stands before ``classifier``."""
    path = expanded(file)
    front = load_model(path, classifier) if exists(path) else load(file)
    if isinstance(front, Purifier):
        return defend(load_behind(classifier), front)
    if not exists(path):
        raise ConfigError(f"{file} has a classifier already; leave ,classifier= out")
    return front


def load_kind(path: Path, kind: type[M]) -> M:
    """The model in ``path``, a weights file or the name of a packaged one, which has to be a
    ``kind``.

    Raises:
        CheckpointError: it is missing or damaged, or is a model of another kind.
    """
    model = load(path)
    if not isinstance(model, kind):
        raise CheckpointError(
            f"{path} holds a {type(model).__name__}; give the weights of a {kind.__name__}"
        )
    return model


def load_classifier(path: str | Path, draws: int | None = None) -> Defence:
    """The classifier in ``path``, a weights file or the name of a packaged one, defended or not;
    with ``draws`` where it draws at all.

    Raises:
        CheckpointError: it is missing or damaged.
        ConfigError: it holds a purifier alone, or ``draws`` is no number of draws.
    """
    model = require_classifier(load(path), str(path))
    return model if draws is None else model.with_draws(draws)


def load_behind(path: str | Path) -> Defence:
    """As :func:`load_classifier`, to be put behind a purifier: of a classifier behind another one
    it is the classifier alone.

    Raises:
        ConfigError: it draws noise of its own.
    """
    model = load_classifier(path)
    inside: Any = model.classifier if isinstance(model, Defended) else model
    require_fixed(inside, str(path))
    return cast(Defence, inside)


def loaded(sent: Any, device: str) -> Any:
    """What :func:`alp.defences.sending.reference` gave, as the model on ``device``; verified.

    Raises:
        CheckpointError: this machine has another model there, or none.
    """
    if not isinstance(sent, ModelOrigin):
        return sent
    model = load_classifier(sent.place, sent.draws)
    if not is_of(sent, model):
        raise CheckpointError(
            f"{sent.place} on {socket.gethostname()} holds other weights "
            f"({weights_digest(model)[:16]}) than the evaluation's ({sent.digest[:16]}); give that "
            "machine the same file"
        )
    return model.to(device)


def load_defended(path: str | Path, draws: int | None = None) -> Defended:
    """As :func:`load_classifier`; it has to be a classifier behind a purifier."""
    model = require_defended(load(path), str(path))
    return model if draws is None else model.with_draws(draws)


def require_defended(model: Model, name: str) -> Defended:
    """``model``, called ``name``, if it is a classifier behind a purifier; else a ConfigError."""
    if not isinstance(require_classifier(model, name), Defended):
        raise ConfigError(
            f"{name} is a {type(model).__name__}, a classifier without a purifier; give a "
            "defended classifier"
        )
    return cast(Defended, model)


def load_purifier(path: str | Path) -> Purifier:
    """The purifier in a weights file or a packaged model.

    Raises:
        CheckpointError: it is missing or damaged.
        ConfigError: there is none in it.
    """
    return require_purifier(load(path), str(path))


def require_purifier(model: Model, name: str) -> Purifier:
    """The purifier that ``model``, called ``name``, is or has; else a ConfigError."""
    found = purifying(model)
    if not isinstance(found, Purifier):
        raise ConfigError(
            f"{name} holds a {type(model).__name__}, which has no purifier; give a purifier or a "
            "defended classifier"
        )
    return found


def purifying(model: Model) -> Model:
    """What purifies in ``model``: the purifier of a defended classifier, else all of it."""
    return model.purifier if isinstance(model, Defended) else model


def before(front: Model, classifier: Defence, name: str) -> Defence:
    """What purifies in ``front``, called ``name``, before ``classifier``: a purifier, that of a
    defended classifier, or the transformation of another defence, such as JPEG or DiffPure.

    Raises:
        ConfigError: nothing there purifies, or its detectors belong to another classifier.
    """
    if isinstance(front, Preprocessed):
        return front.before(classifier)
    return Defended(classifier, require_purifier(front, name))


def require_classifier(model: Model, name: str) -> Defence:
    """``model``, called ``name``, if it classifies; raises a ConfigError if it does not."""
    if not isinstance(model, Defence):
        if not is_model(model):
            raise ConfigError(
                f"{name} is a {type(model).__name__}; give a model of alp's, such as "
                "alp.as_defence(...) of it"
            )
        raise ConfigError(
            f"{name} is a purifier alone, which classifies nothing; give a classifier, or train "
            "one behind it with 'alp train standard-purified'"
        )
    return model


def is_model(thing: object) -> TypeGuard[Model]:
    """Whether what a user hands in is one of alp's models."""
    return isinstance(thing, Defence | PurifierBase)


def packages() -> list[str]:
    """The names of the packages in this installation."""
    return sorted(path.parent.name for path in ROOT.glob(f"[!.]*/{MANIFEST}"))


def packaged_names() -> list[str]:
    """Every name that :func:`load` takes: packages, and their rows.

    Raises:
        CheckpointError: a manifest is damaged.
    """
    return [
        name
        for package in packages()
        for name in (
            package,
            *(f"{package}/{row}" for row in open_package(ROOT / package).manifest["rows"]),
        )
    ]


def find_package(source: Path) -> Package:
    """A package of this installation by its name, or the one in a folder.

    Raises:
        CheckpointError: there is none, or its manifest is damaged.
    """
    name = source.as_posix()
    return open_package(ROOT / name if name in packages() else expanded(source))


def open_package(folder: Path) -> Package:
    """The package in ``folder``, its manifest verified.

    Raises:
        CheckpointError: the manifest is missing, damaged, edited or of another format.
    """
    path = folder / MANIFEST
    try:
        if path.stat().st_size > JSON_LIMIT:
            raise ValueError("it is too large")
        raw = path.read_bytes()
        content = json.loads(raw)
        content.pop("sha256")
        intact = raw == seal(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged or no manifest ({error}); {_REPAIR}") from error
    if not intact:
        raise CheckpointError(f"{path} is damaged or was edited; {_REPAIR}")
    if content.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has the format {content.get('format')!r}, this alp reads {FORMAT!r}; {_REPAIR}"
        )
    require_shape(content, _SHAPE, str(path), CheckpointError, _REPAIR)
    if content["default"] not in content["rows"]:
        raise CheckpointError(f"{path} has no row {content['default']!r}, its default; {_REPAIR}")
    return Package(folder, content)


def seal(content: Mapping[str, Any]) -> bytes:
    """The bytes of a manifest: its content with a sha256 over it. A manifest has to be, byte for
    byte, what this writes, so that every change of it is noticed."""
    sealed = {**content, "sha256": digest(content)}
    return (json.dumps(sealed, indent=1, allow_nan=False) + "\n").encode()

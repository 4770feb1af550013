"""A classifier that a reference names: what it needs is inside, its weights stay where they are.

A weights file holds the reference, what the classifier needs and a digest of it, never its code.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, final

import torch
from torch import Tensor, nn

from alp import seeding
from alp.config import FrameConfig, from_dict, to_dict
from alp.defences.adapters import are_probabilities, log_probabilities, logits_of
from alp.defences.base import DEFENCES, Defence, classify
from alp.defences.identity import weights_digest
from alp.defences.references import CODE, REFERENCES, Found, Reference, parsed
from alp.defences.trainable import Trainable, replace_head, require_trainable
from alp.errors import AlpError, CheckpointError, ConfigError
from alp.files import exists, expanded

OUTPUTS = ("logits", "probabilities")

_PROBES = 2
"""Images that a classifier is asked with to see what it answers."""


@final
@DEFENCES.register("reference")
class Referenced(Trainable):
    """x (B,3,H,W) in [0,1] -> logits (B,K) of a classifier that is not alp's own.

    It is normalised inside. Probabilities become their logarithm.
    """

    def __init__(
        self,
        reference: Reference,
        found: Found | None = None,
        *,
        outputs: str = "logits",
        digest: str = "",
        retrained: bool = False,
        head: int = 0,
    ) -> None:
        """A classifier, or a place for one that :meth:`open` fills.

        Args:
            found: the classifier and what it needs; None where it is opened later.
            outputs: what it answers, ``logits`` or ``probabilities``.
            digest: of the classifier that the place is for.
            retrained: whether its weights are not those of the reference any more, so that a
                weights file has to hold them.
            head: classes of a head that stands in place of the reference's own; 0 for its own.
        """
        super().__init__()
        self.reference = reference
        self.outputs = outputs
        self.digest = digest or (digest_of(found) if found else "")
        self.retrained = retrained
        self.head = head
        self.fixed = False
        self.register_buffer("mean", torch.zeros(1, 1, 1, 1))
        self.register_buffer("std", torch.ones(1, 1, 1, 1))
        self.training = False
        if found is not None:
            self._take(found)

    def _take(self, found: Found) -> None:
        self.module = found.module
        self.mean = torch.tensor(found.mean).view(1, -1, 1, 1)
        self.std = torch.tensor(found.std).view(1, -1, 1, 1)
        self._frame, self.fixed = found.frame, found.fixed
        self._differentiable = found.gradients
        self._classes = found.classes

    def answer(self, x: Tensor) -> Tensor:
        frame = self.frame
        if self.fixed and frame is not None and x.shape[-2:] != (frame.height, frame.width):
            raise ConfigError(
                f"{self.reference.label} takes images of {frame.height} x {frame.width} pixels, "
                f"and these have {x.shape[-2]} x {x.shape[-1]}; prepare them for it with "
                f"--size {frame.height}, or alp.load_data(..., frame={frame})"
            )
        logits = classify(self.module, (x - self.mean.to(x)) / self.std.to(x))
        return log_probabilities(logits) if self.outputs == "probabilities" else logits

    def fill_like(self, other: Referenced) -> None:
        """Fill the place with a copy of the classifier in ``other``."""
        self._take(
            Found(
                deepcopy(other.module),
                other.frame,
                other.fixed,
                tuple(self.mean.flatten().tolist()),
                tuple(self.std.flatten().tolist()),
                self._classes or other._classes,
                other.differentiable,
            )
        )

    def begin_training(self) -> None:
        self.retrained = True

    def with_new_head(self, classes: int) -> None:
        replace_head(self.module, classes)
        self.head, self.retrained, self._classes = classes, True, None

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "reference",
            "reference": self.reference.text,
            "digest": self.digest,
            "outputs": self.outputs,
            "mean": self.mean.flatten().tolist(),
            "std": self.std.flatten().tolist(),
            "frame": None if self.frame is None else to_dict(self.frame),
            "retrained": self.retrained,
            **({"head": self.head} if self.head else {}),
        }

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        """A place for the classifier, which :meth:`open` fills."""
        reference = parsed(description["reference"])
        if reference is None:
            raise ConfigError(f"{description['reference']!r} is no reference to a classifier")
        if description["outputs"] not in OUTPUTS:
            raise ConfigError(f"outputs is {description['outputs']!r}; give one of: {OUTPUTS}")
        place = cls(
            reference,
            outputs=description["outputs"],
            digest=str(description["digest"]),
            retrained=bool(description["retrained"]),
            head=int(description.get("head", 0)),
        )
        for name in ("mean", "std"):
            values = reference.channels(name, tuple(map(float, description[name])))
            setattr(place, name, torch.tensor(values, device="cpu").view(1, -1, 1, 1))
        if description["frame"] is not None:
            place._frame = from_dict(FrameConfig, description["frame"])
        return place

    def open(self, reference: Reference | None = None, folder: Path | None = None) -> None:
        """Fill the place with the classifier of the reference, or of another that names the same
        classifier elsewhere.

        Args:
            folder: where a file is looked for that is not where the reference says.

        Raises:
            CheckpointError: the classifier is another one than the place is for.
            AlpError: it cannot be opened.
        """
        self.reference = reference or _beside(self.reference, folder)
        found = REFERENCES[self.reference.kind](self.reference)
        if not isinstance(found, Found):
            raise CheckpointError(f"{self.reference.text} is a whole defence, not a classifier")
        if self.head:
            replace_head(found.module, self.head)
        held = digest_of(found)
        if not self.retrained and held != self.digest:
            raise CheckpointError(
                f"the classifier {self.reference.text} is not the one that the file was made with "
                f"(digest {held[:12]}, not {self.digest[:12]}); restore that one, or defend this "
                "one with alp.defend(alp.load(...), purifier)"
            )
        self._take(
            replace(
                found,
                frame=self.frame,
                mean=tuple(self.mean.flatten().tolist()),
                std=tuple(self.std.flatten().tolist()),
                classes=self._classes or found.classes,
            )
        )


def of_module(module: nn.Module, frame: FrameConfig | None = None) -> Referenced:
    """A module at hand as a classifier that can be trained and saved: a weights file holds its
    weights, and whoever loads it names the code that builds it.

    Raises:
        ConfigError: the module does not answer images with logits or probabilities.
    """
    kind = type(module)
    reference = Reference("function", f"{kind.__module__}:{kind.__qualname__}")
    model = Referenced(reference, Found(module, frame))
    if are_probabilities(_answers(model)):
        model.outputs = "probabilities"
    model.retrained = True
    return model


def trainable_copy(module: nn.Module, frame: FrameConfig) -> Trainable:
    """A copy of a classifier at hand that can be trained, see :func:`of_module`.

    Args:
        frame: how pictures become its images, where it does not say so itself.

    Raises:
        ConfigError: it is a defence around a classifier, or answers no logits.
        CheckpointError: it has no gradient.
    """
    if isinstance(module, Defence) and not isinstance(module, Trainable):
        raise ConfigError(
            f"the classifier is a {type(module).__name__}; give the classifier inside, such as "
            "defended.classifier"
        )
    copied = deepcopy(module)
    if not isinstance(copied, Trainable):
        copied = of_module(copied.eval(), frame)
    return require_trainable(copied, "the classifier")


def open_reference(reference: Reference) -> Defence:
    """The classifier that a reference names, on the CPU, in evaluation mode.

    What it needs is what the reference's settings say, else what the kind finds; whether it
    answers logits or probabilities is seen from its answers to two random images.

    Raises:
        ConfigError: a setting cannot be used, or the classifier does not answer images with logits
            or probabilities.
        AlpError: it cannot be opened; the message says why and what to do.
    """
    found = REFERENCES[reference.kind](reference)
    if isinstance(found, Defence):
        return found
    frame = reference.frame(found.frame)
    if found.fixed and frame != found.frame and found.frame is not None and frame is not None:
        sides, wanted = (frame.height, frame.width), (found.frame.height, found.frame.width)
        if sides != wanted:
            raise ConfigError(
                f"{reference.text}: the classifier takes images of {wanted[0]} x {wanted[1]} "
                "pixels alone; leave size out"
            )
    found = replace(
        found,
        frame=frame,
        mean=reference.channels("mean", found.mean),
        std=reference.channels("std", found.std),
        classes=reference.classes(found.classes),
    )
    outputs = reference.settings.get("outputs")
    if outputs not in (None, *OUTPUTS):
        raise ConfigError(f"outputs={outputs}: give logits or probabilities")
    model = Referenced(reference, found)
    answers = _answers(model)
    if found.classes is not None and len(found.classes) != answers.shape[1]:
        raise ConfigError(
            f"{reference.text} tells {answers.shape[1]} classes apart, and {len(found.classes)} "
            "names are given; give one for each"
        )
    model.outputs = outputs or ("probabilities" if are_probabilities(answers) else "logits")
    return model


def digest_of(found: Found) -> str:
    """sha256 (hex) by which a found classifier is known."""
    return found.digest or weights_digest(found.module)


def _answers(model: Referenced) -> Tensor:
    """What a classifier answers two random images of its size, of 224 x 224 where it has none.

    Raises:
        ConfigError: it fails, or answers something else than (2,K).
    """
    frame = model.frame or FrameConfig(224, 224)
    source = seeding.generator(0, "reference")
    x = seeding.uniform((_PROBES, 3, frame.height, frame.width), source)
    try:
        with torch.no_grad():
            return logits_of(classify(model, x), len(x))
    except ConfigError as error:
        raise ConfigError(f"{model.reference.text}: {error}") from error
    except (AlpError, MemoryError):
        raise
    except Exception as error:  # of other people's code
        reason = "".join(str(error).strip().splitlines()[:1])[:200]
        raise ConfigError(
            f"{model.reference.text} failed on images of {frame.height} x {frame.width} pixels "
            f"({type(error).__name__}: {reason}); where it takes another size, say "
            f"{model.reference.text},size=..."
        ) from error


def _beside(reference: Reference, folder: Path | None) -> Reference:
    """The reference, or the same file in ``folder`` where there is none at its place."""
    path = expanded(reference.place)
    if folder is not None and reference.kind.startswith(".") and not exists(path):
        return replace(reference, place=str(folder / path.name))
    return reference


def references_of(model: nn.Module) -> dict[str, Referenced]:
    """The classifiers in a model that references name, by the names of their modules."""
    return {name: each for name, each in model.named_modules() if isinstance(each, Referenced)}


def open_references(model: nn.Module, path: Path, named: str | Referenced | None) -> None:
    """Open the classifier that a weights file refers to.

    Args:
        path: of the file.
        named: another reference to the same classifier, from whoever loads the file, or the
            classifier itself.

    Raises:
        CheckpointError: the file refers to code and nobody named it, it refers to nothing, or the
            classifier is another one.
        AlpError: the classifier cannot be opened.
    """
    places = references_of(model)
    if isinstance(named, Referenced):
        for place in places.values():
            place.fill_like(named)
        return
    reference = parsed(named) if named else None
    if named and (reference is None or not places):
        raise CheckpointError(
            f"{path} has no place for the classifier {named!r}; "
            + ("give a reference, such as timm:NAME" if places else "leave it out")
        )
    for place in places.values():
        if reference is None and place.reference.kind in CODE:
            text = place.reference.text
            raise CheckpointError(
                f"{path} stands before the classifier {text}, which is code, and no file makes "
                f"code run: where you trust it, load '{path},classifier={text}'"
            )
        place.open(reference, path.parent)


def external_tensors(model: nn.Module, names: Mapping[str, Any]) -> set[str]:
    """Which ``names`` of tensors are those of a classifier whose weights are stored elsewhere."""
    places = [name for name, each in references_of(model).items() if not each.retrained]
    inside = [f"{name}.module." if name else "module." for name in places]
    return {name for name in names if any(name.startswith(each) for each in inside)}

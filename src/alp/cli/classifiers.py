"""What the commands that attack share: the models that they load, and the attacks they offer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alp.attacks import ATTACKS
from alp.attacks.library import LIBRARY_ATTACKS
from alp.errors import ConfigError

if TYPE_CHECKING:
    from alp.models.checkpoint import Model

METHODS = {name: kind for name, kind in ATTACKS.items() if name != "nfgsm"} | LIBRARY_ATTACKS
"""Name to attack; N-FGSM leaves the threat's ball and is for training."""


def load_classifier(path: Path, draws: int | None) -> Model:
    """The classifier in ``path``, a weights file or the name of a packaged one, defended or not;
    with ``draws`` where it draws at all.

    Raises:
        CheckpointError: it is missing or damaged.
        ConfigError: it holds a purifier alone, or ``draws`` is no number of draws.
    """
    from alp.models import Defended, InputNoise
    from alp.models.packaged import load
    from alp.workflows import require_classifier

    model = load(path)
    require_classifier(model, str(path))
    if isinstance(model, Defended) and draws is not None:
        return Defended(model.classifier, model.purifier, draws).eval()
    if isinstance(model, InputNoise) and draws is not None:
        return InputNoise(model.classifier, model.sigma, draws).eval()
    return model


def name_of(path: Path) -> str:
    """What weights are called: a file after its folder where its own name says nothing, a row of
    a package after both."""
    if not path.suffix and not path.exists() and len(path.parts) > 1:
        return f"{path.parent.name}-{path.name}"
    return path.resolve().parent.name if path.stem == "weights" else path.stem


def names(weights: tuple[Path, ...]) -> dict[str, Path]:
    """A name for each weights file.

    Raises:
        ConfigError: two files have the same name.
    """
    named: dict[str, Path] = {}
    for path in weights:
        name = name_of(path)
        if name in named:
            raise ConfigError(
                f"{named[name]} and {path} are both called {name!r}; rename one, or evaluate "
                "them into two folders"
            )
        named[name] = path
    return named

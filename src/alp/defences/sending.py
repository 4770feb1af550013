"""Models that are loaded where they are needed, and not sent."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from alp.defences.base import Defence
from alp.defences.identity import ModelOrigin, weights_digest
from alp.errors import AlpError
from alp.files import exists


def remember(model: Defence, source: str | Path) -> None:
    """Note where ``model`` was loaded from, if it can be described."""
    path = Path(source).expanduser()
    there = exists(path, Path.exists) or exists(path.parent / "manifest.json")
    place = str(path.absolute()) if there else Path(source).as_posix()
    with suppress(AlpError):
        model.origin = ModelOrigin(place, weights_digest(model), _described(model), model.draws)


def is_of(origin: ModelOrigin, model: Defence) -> bool:
    """Whether ``model`` is what ``origin`` says, apart from its draws and its device."""
    try:
        described = _described(model.with_draws(origin.draws))
    except AlpError:
        return False
    return described == origin.description and weights_digest(model) == origin.digest


def reference(model: Any) -> Any:
    """What to send of ``model``: where it was loaded from, or itself where that is not known or it
    was changed since."""
    origin = getattr(model, "origin", None)
    if not isinstance(model, Defence) or origin is None or not is_of(origin, model):
        return model
    return ModelOrigin(origin.place, origin.digest, _described(model), model.draws)


def _described(model: Defence) -> dict[str, Any]:
    return {**model.describe(), "names": list(model.classes or ())}

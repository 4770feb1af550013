"""Files of options: YAML, of which JSON is a part."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

LARGEST = 2**20
"""Bytes of a file of options; a larger one is something else."""


class _Loader(yaml.BaseLoader):  # type: ignore[misc]
    """Every value as its text, which is read like one of the command line. Aliases are refused:
    a few of them, nested, stand for more values than memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("it has an alias (*), which is not allowed here")
        return super().compose_node(parent, index)


def read_options(path: Path) -> dict[str, list[str]]:
    """Dotted name to the texts of its values.

    Raises:
        ValueError: the file cannot be read, or holds something else than options.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ValueError(f"it has more than {LARGEST:,} bytes")
        return dict(_texts(yaml.load(content.decode(), _Loader), ()))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path} is no file of options as --print_config writes: {reason}"
        ) from error


def _texts(value: Any, names: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _texts(each, (*names, str(key)))
    elif not names:
        raise ValueError("it holds no names with values")
    else:
        texts = value if isinstance(value, list) else [value]
        yield ".".join(names), [str(each) for each in texts]


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of dotted names as mappings of mappings."""
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *parents, name = key.split(".")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = value
    return tree


def options_text(values: Mapping[str, Any]) -> str:
    """A file of options that holds ``values``, dotted name to value."""
    plain = json.loads(json.dumps(nested(values), default=str))
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))

"""Files of options: YAML, of which JSON is a part."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from alp.errors import ConfigError
from alp.files import expanded, require_plain_config


def read_options(path: Path) -> dict[str, list[str]]:
    """Dotted name to the texts of its values, which are read like those of the command line.

    Raises:
        ConfigError: the file cannot be read, or holds something else than options.
    """
    require_plain_config(path)
    try:
        values = yaml.load(expanded(path).read_text("utf-8"), yaml.BaseLoader)
    except yaml.YAMLError:  # it is YAML, but has a name that is none, such as a list
        values = None
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path} holds no names with values; see --print_config")
    return dict(_texts(values, ()))


def _texts(value: Any, names: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _texts(each, (*names, str(key)))
    else:
        texts = value if isinstance(value, list) else [value]
        yield ".".join(names), [str(each) for each in texts]


def options_text(tree: Mapping[str, Any]) -> str:
    """A file of options that holds ``tree``, name to value or to names and values."""
    plain = json.loads(json.dumps(tree, default=str))
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))

"""Files that are whole or not there, and files of other people that are looked at before they are
trusted."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from alp.errors import AlpError, ConfigError, OutputError

JSON_LIMIT = 256 * 2**20
"""Bytes of a JSON file; a larger one is none that alp wrote."""

CONFIG_LIMIT = 2**20
"""Bytes of a configuration file."""

CONFIG_DEPTH = 20
"""Mappings and lists inside one another in a configuration file."""

_PROBE = bytes(4096)


def expanded(path: str | Path) -> Path:
    """``path`` with ``~`` in it replaced by the home folder.

    Raises:
        ConfigError: the home folder is not known.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{str(path)!r} starts with a home folder that is not known; give the whole path, or "
            "set HOME"
        ) from error


def exists(path: Path, is_kind: Callable[[Path], bool] = Path.is_file) -> bool:
    """Whether there is a file at ``path``, or what ``is_kind`` asks for; False for what can be no
    path, such as a name that is too long, and for what may not be looked at."""
    try:
        return is_kind(path)
    except (OSError, ValueError):
        return False


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write`` with a temporary path beside ``path``, then rename that to ``path``.

    The folder is made. A crash leaves the old file, or none.

    Raises:
        OutputError: it cannot be written, and why.
    """
    # The token keeps two writers apart; the suffix stays, since some writers read it. With the
    # whole name, one that just fits would no longer do so.
    temporary = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Some writers make files that only their owner reads; touch knows the user's mask.
            temporary.touch()
            mode = temporary.stat().st_mode
            write(temporary)
            temporary.chmod(mode)
            os.replace(temporary, path)
        finally:
            if exists(temporary):
                temporary.unlink()
    except (OSError, ValueError) as error:
        if isinstance(error, AlpError):
            raise
        raise OutputError(_cannot(path, error)) from error


def require_writable(folder: Path, *names: str) -> None:
    """Find out whether files can be written in ``folder``, which is made where it is missing.
    Nothing is left behind: work that takes long calls this before it starts.

    Args:
        names: the files that will be written.

    Raises:
        OutputError: they cannot be, and why.
    """
    made: list[Path] = []
    try:
        missing = [each for each in (folder, *folder.parents) if not exists(each, Path.exists)]
        for each in reversed(missing):
            each.mkdir(exist_ok=True)
            made.append(each)
        probe = folder / f".{secrets.token_hex(4)}.probe"
        try:
            probe.write_bytes(_PROBE)  # an empty file fits on a full disk
        finally:
            if exists(probe):
                probe.unlink()
        for name in names:
            if (folder / name).is_dir():
                raise OutputError(
                    f"{folder / name} is a folder, and a file of that name has to be written: "
                    "remove it, or choose another place"
                )
    except (OSError, ValueError) as error:
        if isinstance(error, AlpError):
            raise
        raise OutputError(_cannot(folder, error)) from error
    finally:
        for each in reversed(made):
            if exists(each, Path.is_dir) and not any(each.iterdir()):
                each.rmdir()


def _cannot(path: Path, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    shown = str(path) if len(str(path)) <= 300 else f"{str(path)[:300]}..."
    return f"{shown} cannot be written ({reason}); choose another place, or make room there"


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    text = json.dumps(value, indent=2, sort_keys=True) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, "utf-8"))


def read_json(path: Path, error: type[AlpError]) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        error: the file cannot be read, or holds no JSON object.
    """
    try:
        if path.stat().st_size > JSON_LIMIT or not (path.is_file()):
            raise ValueError("it is too large, or no file")
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as cause:
        raise error(f"{path} cannot be read ({cause}); make it again") from cause
    if not isinstance(value, dict):
        raise error(f"{path} holds no JSON object; make it again")
    return value


Shape = type | tuple[type, ...] | Mapping[str, Any] | list[Any]
"""What a JSON value has to be: of a type; an object with at least these keys; an object of which
every value is of a shape (``{"*": shape}``); or a list of a shape (``[shape]``)."""


def require_shape(value: Any, shape: Shape, where: str, error: type[AlpError], repair: str) -> None:
    """Look whether a JSON value that is ``where`` has the keys and types that its reader needs.

    Raises:
        error: it has not, and what is missing; the message ends with ``repair``.
    """
    if isinstance(shape, Mapping):
        _require(isinstance(value, Mapping), value, "an object", where, error, repair)
        for key in value if "*" in shape else shape:
            if key not in value:
                raise error(f"{where} has no {key!r}; {repair}")
            require_shape(
                value[key], shape.get(key, shape.get("*")), f"{where}: {key}", error, repair
            )
    elif isinstance(shape, list):
        _require(isinstance(value, list), value, "a list", where, error, repair)
        for number, each in enumerate(value):
            require_shape(each, shape[0], f"{where}: {number}", error, repair)
    else:
        kinds = shape if isinstance(shape, tuple) else (shape,)
        good = isinstance(value, kinds) and (not isinstance(value, bool) or bool in kinds)
        words = " or ".join(kind.__name__ for kind in kinds)
        _require(good, value, f"of type {words}", where, error, repair)


def _require(
    good: bool, value: Any, wanted: str, where: str, error: type[AlpError], repair: str
) -> None:
    if not good:
        raise error(f"{where} is {str(value)[:80]!r}, which is not {wanted}; {repair}")


def file_inside(folder: Path, name: str, error: type[AlpError], repair: str) -> Path:
    """The path of the file ``name`` that a description in ``folder`` names.

    Raises:
        error: it is no file right in that folder: a path, a link that leads out, a folder, or
            nothing; the message ends with ``repair``.
    """
    path = folder / name
    if not name or name in (".", "..") or {"/", "\\", "\0"} & set(name):
        raise error(
            f"{folder} describes the file {name[:200]!r}, which is no plain file name: such a file "
            f"could lie anywhere, and is not read; {repair}"
        )
    if not exists(path, Path.exists):
        raise error(f"{path} cannot be read (there is no such file); {repair}")
    if not exists(path):
        raise error(f"{path} is no file; {repair}")
    if path.resolve().parent != folder.resolve():
        raise error(
            f"{path} is a link to {path.resolve()}, outside of its folder, and is not read: put "
            "the file itself in its place"
        )
    return path


def require_plain_config(path: str | Path) -> None:
    """Look whether a YAML or JSON file of settings is small and plain: of 1 MiB at most, in UTF-8,
    without aliases, which a few lines can multiply to gigabytes, and not deeply nested.

    Raises:
        ConfigError: it is not, or cannot be read.
    """
    import yaml

    shown = str(path)[:300]
    try:
        place = expanded(path)
        if not place.is_file():
            raise ConfigError(f"there is no configuration file {shown}; check the path")
        if place.stat().st_size > CONFIG_LIMIT:
            raise ConfigError(
                f"{shown} has {place.stat().st_size:,} bytes, a configuration file has at most "
                f"{CONFIG_LIMIT:,}; give the file that --print_config printed"
            )
        text = place.read_text("utf-8")
    except (OSError, ValueError) as error:
        if isinstance(error, AlpError):
            raise
        raise ConfigError(
            f"the configuration file {shown} cannot be read ({error}); it has to be text in UTF-8"
        ) from error
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise ConfigError(
                    f"{shown} has the alias *{event.anchor}; write the values out, aliases are "
                    "not read"
                )
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > CONFIG_DEPTH:
                raise ConfigError(f"{shown} is nested more than {CONFIG_DEPTH} deep; flatten it")
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{shown} is no YAML or JSON ({reason}); correct it") from error

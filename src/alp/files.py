"""Files that are whole or not there: written to a temporary name, then renamed."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alp.errors import AlpError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write`` with a temporary path beside ``path``, then rename that to ``path``.

    The folder is made. A crash leaves the old file, or none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The token keeps two writers apart; the suffix stays, since some writers read it.
    temporary = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    try:
        # Some writers make files that only their owner reads; touch knows the user's mask.
        temporary.touch()
        mode = temporary.stat().st_mode
        write(temporary)
        temporary.chmod(mode)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    text = json.dumps(value, indent=2, sort_keys=True) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text))


def read_json(path: Path, error: type[AlpError]) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        error: the file cannot be read, or holds no JSON object.
    """
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as cause:
        raise error(f"{path} cannot be read ({cause}); make it again") from cause
    if not isinstance(value, dict):
        raise error(f"{path} holds no JSON object; make it again")
    return value

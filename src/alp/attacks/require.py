"""Loading a library of the extra ``attacks``."""

from __future__ import annotations

import importlib
from typing import Any

from alp.errors import AlpError


def require(module: str, attack: str) -> Any:
    """The module ``module``, which ``attack`` needs.

    Raises:
        AlpError: its library is not installed; the message says how to install it.
    """
    library = module.split(".")[0]
    try:
        importlib.import_module(library)
    except ModuleNotFoundError as error:
        if error.name != library:  # installed, but not what it needs in turn
            raise
        raise AlpError(
            f'{attack} needs {library}, which is not installed: pip install "alp[attacks]"'
        ) from error
    return importlib.import_module(module)

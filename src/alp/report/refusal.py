"""What to say of a record that cannot be shown.

Where a record came from, in the cells of a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from alp.errors import AlpError
from alp.records import Kept
from alp.report.format import timing_words

Refused = dict[str, str]
"""Path of a record to why it is not shown, and the repair."""


def trouble(use: Callable[[], Any]) -> str:
    """What goes wrong in ``use`` for lack of something in a record; empty where nothing does."""
    try:
        use()
    except AlpError as error:
        return str(error)
    # Whatever a foreign record lacks, or has in another form, shows in one of these.
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def refusal(path: str, why: str) -> str:
    """The sentence for the page."""
    return (
        f"{path} cannot be shown ({why}); restore it from its source, or delete it and make it "
        "again"
    )


def sifted(kept: Iterable[Kept], use: Callable[[Kept], Any]) -> tuple[list[Kept], Refused]:
    """The records with which ``use`` succeeds, and what to say of the others."""
    good: list[Kept] = []
    refused: Refused = {}
    for each in kept:
        why = trouble(lambda each=each: use(each))  # type: ignore[misc]
        if why:
            refused[each.path] = refusal(each.path, why)
        else:
            good.append(each)
    return good, refused


def provenance(header: Mapping[str, Any], path: str) -> dict[str, str]:
    """Heading to text, from the header of the record at ``path``."""
    pairs = [*header["weights"].items(), ("data", header["data_digest"])]
    return {
        "defence": str(header["name"]),
        "trial": str(header["trial"]),
        "seed": str(header.get("seed", "")),
        "draws": str(header["draws"]),
        "timed on": timing_words(header.get("latency", {})),
        "record": path,
        "sha256": ", ".join(f"{part} {digest[:12]}" for part, digest in pairs),
        "versions": ", ".join(f"{name} {v}" for name, v in header.get("versions", {}).items()),
    }

"""Where a record came from, in the cells of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alp.report.words import timing_words


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

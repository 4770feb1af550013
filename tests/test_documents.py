"""The code of the README runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import alp

ROOT = Path(__file__).parents[1]
SMALLER = {"take(256)": "take(2)", "take(500)": "take(1)"}
"""What is made smaller, so that minutes become seconds; all else is run letter by letter."""


def blocks(document: str) -> list[str]:
    """The Python blocks of a document."""
    return re.findall(r"^```python\n(.*?)^```", (ROOT / document).read_text(), re.M | re.S)


@pytest.mark.cifar10
@pytest.mark.slow
def test_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, with a classifier and images of the reader's."""
    monkeypatch.chdir(tmp_path)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    names: dict[str, Any] = {"my_classifier": alp.load("cifar10-lite/standard"), "images": images}
    found = blocks("README.md")
    assert len(found) == 3
    for code in found:
        for large, small in SMALLER.items():
            code = code.replace(large, small)
        exec(compile(code, "README.md", "exec"), names)
    assert names["logits"].shape == (2, 10)
    assert names["record"].kind == "certificate"
    assert (tmp_path / "folder").is_dir()

"""What the project really ships: every packaged model, and the wheel that carries it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

import alp
from alp.defences.packaged import OFFERS, ROOT, open_package, packaged_names, packages
from alp.report.card import render_card

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", packaged_names())
def test_a_shipped_model_loads_and_answers(name: str) -> None:
    model = alp.load(name)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        out = model(x)
    assert out.isfinite().all()
    assert out.shape == ((2, 10) if model.classifies else x.shape)


@pytest.mark.parametrize("name", packages())
def test_a_shipped_package_is_whole_and_small(name: str) -> None:
    package = open_package(ROOT / name)
    package.verify()
    assert package.manifest["name"] == name
    there = {path.name for path in package.folder.iterdir()}
    assert there == {*package.manifest["files"], "manifest.json"}
    assert package.size <= OFFERS[name].limit


@pytest.mark.parametrize("name", packages())
def test_a_shipped_card_is_made_from_the_manifest(name: str) -> None:
    package = open_package(ROOT / name)
    assert (package.folder / "README.md").read_text() == render_card(package.manifest)


def test_the_wheel_carries_packages_that_load_offline(package, tmp_path: Path) -> None:
    """From the wheel alone, in a process that has no network to ask."""
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "weights")
    shutil.copytree(PROJECT / "src", source / "src", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    shutil.copytree(package.folder, source / "src" / "alp" / "weights" / "toy")
    build = "from setuptools import build_meta; build_meta.build_wheel('.')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (wheel,) = source.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "site")
    site = tmp_path / "site"
    code = (
        "import sys\n"
        "def deny(event, _):\n"
        "    if event.startswith('socket.'): raise OSError('network')\n"
        "import alp; alp.load; sys.addaudithook(deny)\n"
        "print(alp.__file__, alp.load('toy').draws, alp.load('toy/adversarial').config.size)"
    )
    environment = os.environ | {"PYTHONPATH": str(site)}
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True,
        env=environment,
    )  # fmt: skip
    assert told.stdout.split() == [str(site / "alp" / "__init__.py"), "3", "tiny"]
    shipped = {path.name for path in (site / "alp" / "weights" / "toy").iterdir()}
    assert shipped == {*package.manifest["files"], "manifest.json"}


def test_loading_imports_no_compiler() -> None:
    """Torch's compiler takes longer to import than a packaged model takes to load."""
    code = (
        "import sys, alp\n"
        "from alp.defences.packaged import packaged_names\n"
        "models = [alp.load(name) for name in packaged_names()]\n"
        "sys.exit(not models or 'torch._dynamo' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

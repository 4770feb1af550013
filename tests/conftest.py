"""Shared by all tests: the machine's settings, and the real CIFAR-10 where it is at hand."""

from __future__ import annotations

import os

# Before torch: waiting threads that spin slow a shared machine down several times.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("ALP_DATA"):
        return
    skip = pytest.mark.skip(reason="needs CIFAR-10: set ALP_DATA to the folder above cifar10/")
    for item in items:
        if item.get_closest_marker("cifar10"):
            item.add_marker(skip)


@pytest.fixture
def cifar10() -> Path:
    """The folder that holds ``cifar10/``; for tests marked ``cifar10``."""
    return Path(os.environ["ALP_DATA"])

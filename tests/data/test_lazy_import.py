from __future__ import annotations

import subprocess
import sys

import pytest

import alp.data


def test_the_package_is_imported_without_torch() -> None:
    """``alp --help`` shows the settings of the augmentation and must not wait for torch."""
    code = "import sys, alp.data; alp.data.Augment(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there() -> None:
    assert all(getattr(alp.data, name) is not None for name in alp.data.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Image'"):
        _ = alp.data.Image

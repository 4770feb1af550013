"""Decoded data sets on disk, so that pictures are decoded once."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from alp.data.images import Images, content_digest
from alp.files import expanded

FORMAT = 4
"""Part of every key: raised when what is cached, or its layout, changes."""


def cache_folder() -> Path:
    """Where decoded data lies: the setting ALP_CACHE, else ``~/.cache/alp``."""
    setting = os.environ.get("ALP_CACHE")
    return expanded(setting or "~/.cache/alp")


def file_key(files: Mapping[str, Path]) -> str:
    """Names, sizes and contents of the files, in one digest."""
    digest = hashlib.sha256()
    for name, path in files.items():
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(json.dumps([name, path.stat().st_size, content]).encode())
    return digest.hexdigest()


def cached(name: str, key: str, split: str, build: Callable[[], dict[str, Images]]) -> Images:
    """The split of data set ``name`` from the cache, else from ``build()``, which is then cached.

    ``build`` gives one or more splits at once. What is read is checked against its digest: a
    damaged cache file is built again, never trusted.
    """
    short = hashlib.sha256(key.encode()).hexdigest()[:24]
    folder = cache_folder() / f"{name}-{FORMAT}-{short}"
    images = _read(folder / f"{split}.safetensors", name, split)
    if images is not None:
        return images
    built = build()
    try:
        for part, content in built.items():
            _write(folder / f"{part}.safetensors", content)
    except OSError as error:
        warnings.warn(
            f"cannot write the data cache {folder} ({error}); the data will be decoded again next "
            "time. Set ALP_CACHE to a folder that can be written",
            stacklevel=2,
        )
    return built[split]


def _read(path: Path, name: str, split: str) -> Images | None:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Copied: a mapped file that is cut short later would kill the process.
            images, labels = file.get_tensor("images").clone(), file.get_tensor("labels").clone()
        classes = tuple(json.loads(metadata["classes"]))
        if content_digest(images, labels, classes) != metadata["digest"]:
            return None
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        return None
    return Images(images, labels, classes, name, split, metadata["digest"])


def _write(path: Path, images: Images) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"classes": json.dumps(images.classes), "digest": images.digest}
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    os.close(handle)
    try:
        save_file({"images": images.images, "labels": images.labels}, temporary, metadata)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)

"""Decoded data sets on disk, so that pictures are decoded once."""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from alp.data.images import Images
from alp.errors import AlpError, ConfigError, DataError
from alp.files import expanded, write_atomically

FORMAT = 4
"""Part of every key: raised when what is cached, or its layout, changes."""


def cache_folder() -> Path:
    """Where decoded data lies: the setting ALP_CACHE, else ``~/.cache/alp``.

    Raises:
        ConfigError: the home folder is not known.
    """
    return expanded(os.environ.get("ALP_CACHE") or "~/.cache/alp")


def file_key(files: Mapping[str, Path]) -> str:
    """Names, sizes and contents of the files, in one digest.

    Raises:
        DataError: one cannot be read.
    """
    digest = hashlib.sha256()
    for name, path in files.items():
        try:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            size = path.stat().st_size
        except OSError as error:
            raise DataError(
                f"{path} cannot be read ({error.strerror}): correct its rights, or remove it"
            ) from error
        digest.update(json.dumps([name, size, content]).encode())
    return digest.hexdigest()


def cached(name: str, key: str, split: str, build: Callable[[], dict[str, Images]]) -> Images:
    """The split of data set ``name`` from the cache, else from ``build()``, which is then cached.

    ``build`` gives one or more splits at once. What is read is checked against its digest: a
    damaged cache file is built again, never trusted.
    """
    short = hashlib.sha256(key.encode()).hexdigest()[:24]
    try:
        folder = cache_folder() / f"{re.sub('[^a-zA-Z0-9._-]', '_', name)[:100]}-{FORMAT}-{short}"
    except ConfigError as error:
        warnings.warn(f"there is no data cache ({error}, or ALP_CACHE)", stacklevel=2)
        return build()[split]
    images = _read(folder / f"{split}.safetensors", name, split)
    if images is not None:
        return images
    built = build()
    try:
        for part, content in built.items():
            _write(folder / f"{part}.safetensors", content)
    except (OSError, SafetensorError) as error:
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
        held = Images.of(images, labels, classes, name, split)
        return held if held.digest == metadata["digest"] else None
    except (OSError, SafetensorError, LookupError, ValueError, TypeError, AlpError):
        return None


def _write(path: Path, images: Images) -> None:
    """Write a split; an OSError or SafetensorError where that cannot be."""
    metadata = {"classes": json.dumps(images.classes), "digest": images.digest}
    tensors = {"images": images.images, "labels": images.labels}
    write_atomically(path, lambda temporary: save_file(tensors, temporary, metadata))

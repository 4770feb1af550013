"""Which pictures are purified, and where their copies go."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from alp.errors import ConfigError

SUFFIX = "-purified.png"
"""What stands in place of a picture's suffix in the name of its copy."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
"""Suffixes of the files of a folder that are taken for pictures, in small or capital letters."""


@dataclass(frozen=True)
class Job:
    """A picture, and the file that its purified copy becomes."""

    picture: Path
    target: Path


def find_jobs(given: Sequence[Path], out: Path) -> Iterator[Job]:
    """The jobs of files and folders, one after the other; of folders at any depth, sorted by name.

    A file's copy goes to ``out``, a folder's pictures to the same place below ``out`` as they have
    below the folder (below the folder's name where several are given). Hidden files, links to
    folders and purified copies are passed over in folders. The names of one folder at a time are
    held in memory.

    Raises:
        ConfigError: two pictures would get one name, or a given picture would be overwritten.
        OSError: a folder cannot be read.
    """
    folders = list(dict.fromkeys(path for path in given if path.is_dir()))
    files = _file_jobs([path for path in given if not path.is_dir()], out)
    inputs = {name for job in files.values() if (name := _identity(job.picture))}
    for job in files.values():
        _require_no_input(job, inputs)
        yield job
    roots: dict[Path, Path] = {}
    for folder in folders:
        root = out if len(folders) == 1 else out / folder.resolve().name
        if root in roots:
            raise ConfigError(
                f"{roots[root]} and {folder} would both be purified into {root}; purify them one "
                "after the other, with another --out"
            )
        roots[root] = folder
    for root, folder in roots.items():
        for job in _folder_jobs(folder, root):
            same = files.get(job.target)
            if same and _identity(same.picture) != _identity(job.picture):
                _refuse_pair(same.picture, job)
            if not same:
                _require_no_input(job, inputs)
                yield job


def _file_jobs(pictures: Sequence[Path], out: Path) -> dict[Path, Job]:
    """Target to job."""
    jobs: dict[Path, Job] = {}
    for picture in pictures:
        job = Job(picture, out / (picture.stem + SUFFIX))
        other = jobs.setdefault(job.target, job)
        if other.picture != picture:
            _refuse_pair(other.picture, job)
    return jobs


def _folder_jobs(folder: Path, out: Path) -> Iterator[Job]:
    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # removed meanwhile
            raise error

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        jobs: dict[str, Path] = {}
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            hidden, copy = name.startswith("."), name.lower().endswith(SUFFIX)
            if suffix.lower() not in SUFFIXES or hidden or copy:
                continue
            below = Path(place).relative_to(folder)
            job = Job(Path(place, name), out / below / (stem + SUFFIX))
            if stem in jobs:
                _refuse_pair(jobs[stem], job)
            jobs[stem] = job.picture
            yield job


def modified_ns(path: Path) -> int | None:
    """Time of modification in nanoseconds since 1970; None if there is no such file."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from all others, whatever it is called; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _require_no_input(job: Job, inputs: set[tuple[int, int]]) -> None:
    if inputs and _identity(job.target) in inputs:
        raise ConfigError(
            f"{job.target} is one of the pictures and would be overwritten; give another folder "
            "with --out"
        )


def _refuse_pair(other: Path, job: Job) -> None:
    raise ConfigError(
        f"{other} and {job.picture} would both become {job.target}; purify them into two folders"
    )

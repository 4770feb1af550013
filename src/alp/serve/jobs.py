"""Which pictures are purified, where their copies go, and what is left out and why."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alp.data.picture import SUFFIXES
from alp.errors import ConfigError
from alp.serve.copies import read_stamp

SUFFIX = "-purified.png"
"""What stands in place of a picture's suffix in the name of its copy."""


@dataclass(frozen=True)
class Job:
    """A picture, and the file that its purified copy becomes."""

    picture: Path
    target: Path
    refused: str | None = None
    """Why it is known that there can be no copy."""
    skipped: str | None = None
    """Why no copy is wanted: it is no picture of a known kind."""


def find_jobs(given: Sequence[Path], out: Path) -> Iterator[Job]:
    """The jobs of files and folders, one after the other; of folders at any depth, sorted by name.

    A file's copy goes to ``out``, a folder's pictures to the same place below ``out`` as they have
    below the folder (below the folder's name where several are given). Hidden files and purified
    copies are passed over in folders; what else is no picture comes as a job that is skipped. Of
    two pictures whose copies would have one name the second is refused, and so are a picture
    whose copy would take the place of a given one, and a folder that cannot be read. The names of
    one folder at a time are held in memory.

    Raises:
        ConfigError: two folders would be purified into one.
    """
    folders = list(dict.fromkeys(path for path in given if os.path.isdir(path)))
    pictures = [path for path in given if not os.path.isdir(path)]
    inputs = {one for path in pictures if (one := _identity(path))}
    taken: dict[Path, Path] = {}
    for picture in pictures:
        job = _claimed(Job(picture, out / (picture.stem + SUFFIX)), taken, inputs)
        if job:
            yield job
    for root, folder in _roots(folders, out).items():
        for job in _folder_jobs(folder, root, taken, inputs):
            yield job


def _roots(folders: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Where the copies of each folder go."""
    roots: dict[Path, Path] = {}
    for folder in folders:
        root = out if len(folders) == 1 else out / folder.resolve().name
        if root in roots:
            raise ConfigError(
                f"{roots[root]} and {folder} would both be purified into {root}; purify them one "
                "after the other, with another --out"
            )
        roots[root] = folder
    return roots


def _folder_jobs(
    folder: Path, out: Path, given: dict[Path, Path], inputs: set[tuple[int, int]]
) -> Iterator[Job]:
    errors: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=errors.append):
        yield from _unreadable(errors, out)
        below = out / Path(place).relative_to(folder)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            path = Path(place, name)
            if path.is_symlink():
                reason = f"{path} is a link to a folder, and such links are not followed"
                yield Job(path, below / name, skipped=reason)
        taken = {target: path for target, path in given.items() if target.parent == below}
        visible = [name for name in sorted(names) if not name.startswith(".")]
        copies = [Path(place, name) for name in visible if name.lower().endswith(SUFFIX)]
        foreign = {path for path in copies if read_stamp(path) is None}
        kept = inputs | {one for path in foreign if (one := _identity(path))}
        for name in visible:
            path, (stem, suffix) = Path(place, name), os.path.splitext(name)
            job = Job(path, below / (stem + SUFFIX))
            if name.lower().endswith(SUFFIX):
                if path in foreign:
                    reason = f"{path} is called as a purified copy is, and was not made as one"
                    yield replace(job, skipped=reason)
            elif suffix.lower() not in SUFFIXES:
                kind = f"of the kind {suffix}" if suffix else "without a suffix"
                yield replace(job, skipped=f"{path} is {kind}, which is not read")
            elif claimed := _claimed(job, taken, kept):
                yield claimed
    yield from _unreadable(errors, out)


def _unreadable(errors: list[OSError], out: Path) -> Iterator[Job]:
    for error in errors:
        if not isinstance(error, FileNotFoundError):  # else it was removed meanwhile
            place = Path(error.filename)
            yield Job(place, out, refused=f"{place} cannot be read ({error.strerror}): check it")
    errors.clear()


def _claimed(job: Job, taken: dict[Path, Path], inputs: set[tuple[int, int]]) -> Job | None:
    """The job, if its target is free and so ``taken`` now; else refused. None if it is a second
    job of the same picture."""
    other = taken.setdefault(job.target, job.picture)
    if other is not job.picture:
        if _identity(other) == _identity(job.picture) is not None or other == job.picture:
            return None
        reason = (
            f"{job.picture} would become {job.target}, which is the copy of {other}; rename it, "
            "or purify it into another folder"
        )
        return replace(job, refused=reason)
    if inputs and _identity(job.target) in inputs:
        reason = (
            f"the copy of {job.picture} would overwrite {job.target}, which is one of the "
            "pictures; give another folder with --out"
        )
        return replace(job, refused=reason)
    return job


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from all others, whatever it is called; None if there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino

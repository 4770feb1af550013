"""``alp purify``: purified copies of pictures."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alp.cli import COMMANDS
from alp.cli.settings import POSITIONAL, WRITTEN, Printed
from alp.errors import AlpError, ConfigError

if TYPE_CHECKING:
    from alp.serve.purifying import Outcome, PicturePurifier


@dataclass(frozen=True, kw_only=True)
class Settings(Printed):
    """Write purified copies of pictures: NAME-purified.png for each, in sRGB, of the same size,
    transparency, EXIF data and time of modification; what a copy lacks is said. What cannot be
    purified is refused with its reason, and the others are written all the same. Of a folder all
    pictures are purified, at any depth, to the same place below --out; of several folders to below
    the name of each; what else is in them is named."""

    pictures: tuple[Path, ...] = field(metadata=POSITIONAL)
    """PNG, JPEG, WebP, BMP, GIF or TIFF files, and folders of them."""
    purifier: Path
    """Weights file, or packaged name, of a purifier or defended classifier."""
    out: Path = field(metadata=WRITTEN)
    """Folder for the purified pictures."""
    watch: bool = False
    """Go on with what appears or changes in the folders, until interrupted (Ctrl-C). What has a
    copy by the same purifier and seed is left alone."""
    seed: int | None = None
    """Seed of the noise, by which the copy of a picture depends on nothing else; by default the
    operating system's entropy, as in serving, which is faster where pictures are small."""

    def __post_init__(self) -> None:
        if self.watch and not all(os.path.isdir(path) for path in self.pictures):
            (first, *_) = (path for path in self.pictures if not os.path.isdir(path))
            raise ConfigError(f"{first} is no folder; give folders to watch, or leave --watch out")


@COMMANDS.register("purify", order=5, summary="purify pictures")
def run(settings: Settings) -> None:
    """Purify each picture.

    Raises:
        ConfigError: two folders would be purified into one, or there is no picture.
        AlpError: a picture was refused; the others have been written.
    """
    from alp.cli.console import note, printable
    from alp.defences.packaged import load_purifier
    from alp.serve.purifying import PicturePurifier

    purify = PicturePurifier(load_purifier(settings.purifier), settings.seed)
    with printed(settings.json) as tell:
        if settings.watch:
            note(
                printable(
                    f"alp: watching {', '.join(map(str, settings.pictures))}; Ctrl-C ends", "\n\t"
                )
            )
            done, refused = keep_watching(purify, settings, tell)
        else:
            done, refused = purify_once(purify, settings, tell)
    if refused:
        raise AlpError(f"{refused:,} of {done:,} pictures were refused")


def purify_once(purify: PicturePurifier, settings: Settings, tell: Tell) -> tuple[int, int]:
    """Purify everything; how many pictures there were, and how many of them were refused."""
    from alp.cli.console import progress
    from alp.serve.jobs import find_jobs

    total = sum(not job.skipped for job in find_jobs(settings.pictures, settings.out))
    if not total:
        raise ConfigError(f"{settings.pictures[0]} holds no picture; give a folder that does")
    done = refused = 0
    with progress() as show:
        show("purify", 0, total)
        for outcome in purify(find_jobs(settings.pictures, settings.out)):
            tell(outcome)
            done += not outcome.job.skipped
            refused += outcome.refused is not None
            show("purify", done, max(done, total))
    return done, refused


def keep_watching(purify: PicturePurifier, settings: Settings, tell: Tell) -> tuple[int, int]:
    """Purify what appears until interrupted; how many pictures there were, and how many of them
    are still refused."""
    from alp.serve.watch import Watch

    watch, done = Watch(settings.pictures, settings.out, purify.recipe), 0
    try:
        while True:
            for outcome in purify(watch.sweep()):
                watch.remember(outcome)
                tell(outcome)
                done += not outcome.job.skipped
            time.sleep(watch.pause)
    except KeyboardInterrupt:
        return done, watch.refused


class Tell:
    """What the user sees of each outcome, as it comes."""

    def __init__(self, as_json: bool) -> None:
        self._json, self._first = as_json, True
        self._without: dict[str, list[Any]] = {"refused": [], "skipped": []}

    def __call__(self, outcome: Outcome) -> None:
        """Print it: a copy to stdout, what has none to stderr."""
        from alp.cli.console import note, printable, say

        job = outcome.job
        if outcome.refused is not None or job.skipped is not None:
            kind = "skipped" if outcome.refused is None else "refused"
            reason = outcome.refused or job.skipped or ""
            if self._json:
                self._without[kind].append({"picture": str(job.picture), "reason": reason})
            note(printable(f"alp: {'error' if outcome.refused else 'skipped'}: {reason}", "\n\t"))
        elif self._json:
            say(f"{'' if self._first else ','}\n    {_as_json(_written(outcome))}", end="")
            self._first = False
        else:
            words = f"{job.picture} -> {job.target}  {outcome.psnr:.2f} dB{_lacking(outcome)}"
            say(printable(words, "\n\t"))

    def close(self) -> None:
        """Print what comes after the last one."""
        from alp.cli.console import say

        if self._json:
            rest = ",\n".join(f'  "{key}": {_as_json(each)}' for key, each in self._without.items())
            say(f"\n  ],\n{rest}\n}}")


@contextmanager
def printed(as_json: bool) -> Iterator[Tell]:
    """What prints outcomes as they come, as text or as one JSON object, whole in any case."""
    from alp.cli.console import say

    if as_json:
        say('{\n  "written": [', end="")
    tell = Tell(as_json)
    try:
        yield tell
    finally:
        tell.close()


def _lacking(outcome: Outcome) -> str:
    parts = [("lost", outcome.lost), ("dropped", outcome.dropped)]
    return "".join(f"  {word}: {', '.join(each)}" for word, each in parts if each)


def _written(outcome: Outcome) -> dict[str, Any]:
    decibels = outcome.psnr if math.isfinite(outcome.psnr) else None
    job = outcome.job
    found = {"picture": str(job.picture), "out": str(job.target), "psnr": decibels}
    return found | {"lost": outcome.lost, "dropped": outcome.dropped}


def _as_json(value: Any) -> str:
    # JSON leaves the control character DEL as it is.
    return json.dumps(value).replace("\x7f", "\\u007f")

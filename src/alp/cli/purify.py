"""``alp purify``: purified copies of pictures."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alp.cli import COMMANDS
from alp.cli.settings import POSITIONAL, WRITTEN
from alp.errors import AlpError, ConfigError

if TYPE_CHECKING:
    from alp.defences import Purifier
    from alp.serve.pictures import Outcome


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Write purified copies of pictures: NAME-purified.png for each, of the same size and time of
    modification. What is not a picture is refused; the others are written all the same. Of a
    folder all pictures are purified, at any depth, to the same place below --out; of several
    folders to below the name of each."""

    pictures: tuple[Path, ...] = field(metadata=POSITIONAL)
    """PNG, JPEG, WebP or BMP files of any size, and folders of them."""
    purifier: Path
    """Weights file, or packaged name, of a purifier or defended classifier."""
    out: Path = field(metadata=WRITTEN)
    """Folder for the purified pictures."""
    watch: bool = False
    """Go on with what appears or changes in the folders, until interrupted (Ctrl-C). What has an
    up-to-date copy is left alone."""
    seed: int | None = None
    """Seed of the noise, by which the copy of a picture depends on nothing else; by default the
    operating system's entropy, as in serving, which is faster where pictures are small."""
    json: bool = False
    """Print JSON."""

    def __post_init__(self) -> None:
        if self.watch and not all(path.is_dir() for path in self.pictures):
            (first, *_) = (path for path in self.pictures if not path.is_dir())
            raise ConfigError(f"{first} is no folder; give folders to watch, or leave --watch out")


@COMMANDS.register("purify", order=5, summary="purify pictures")
def run(settings: Settings) -> None:
    """Purify each picture.

    Raises:
        ConfigError: two pictures would get the same name, one would be overwritten, or there is
            none.
        AlpError: a picture was refused; the others have been written.
    """
    from alp.cli.console import note
    from alp.defences.packaged import load_purifier

    purifier = load_purifier(settings.purifier)
    with printed(settings.json) as tell:
        if settings.watch:
            note(f"alp: watching {', '.join(map(str, settings.pictures))}; Ctrl-C ends")
            done, refused = keep_watching(purifier, settings, tell)
        else:
            done, refused = purify_once(purifier, settings, tell)
    if refused:
        raise AlpError(f"{refused:,} of {done:,} pictures were refused")


def purify_once(purifier: Purifier, settings: Settings, tell: Tell) -> tuple[int, int]:
    """Purify everything; how many pictures there were, and how many of them were refused."""
    from alp.cli.console import progress
    from alp.serve.pictures import find_jobs, purify_pictures

    # Counted, and found to overwrite nothing, before anything is written.
    total = sum(1 for _ in find_jobs(settings.pictures, settings.out))
    if not total:
        raise ConfigError(f"{settings.pictures[0]} holds no picture; give a folder that does")
    jobs, done, refused = find_jobs(settings.pictures, settings.out), 0, 0
    with progress() as show:
        for outcome in purify_pictures(purifier, jobs, settings.seed):
            tell(outcome)
            done += 1
            refused += outcome.refused is not None
            show("purify", done, max(done, total))
    return done, refused


def keep_watching(purifier: Purifier, settings: Settings, tell: Tell) -> tuple[int, int]:
    """Purify what appears until interrupted; how many pictures there were, and how many of them
    are still refused."""
    from alp.serve.pictures import Watch, purify_pictures

    watch, done = Watch(settings.pictures, settings.out), 0
    try:
        while True:
            for outcome in purify_pictures(purifier, watch.sweep(), settings.seed):
                watch.remember(outcome)
                tell(outcome)
                done += 1
            time.sleep(watch.pause)
    except KeyboardInterrupt:
        return done, watch.refused


class Tell:
    """What the user sees of each outcome, as it comes."""

    def __init__(self, as_json: bool) -> None:
        self._json, self._first = as_json, True
        self._refused: list[str] = []

    def __call__(self, outcome: Outcome) -> None:
        """Print it: a copy to stdout, a refusal to stderr."""
        from alp.cli.console import note, say

        if outcome.refused is not None:
            if self._json:
                self._refused.append(outcome.refused)
            note(f"alp: error: {outcome.refused}")
        elif self._json:
            item = json.dumps(_as_json(outcome), ensure_ascii=False)
            say(f"{'' if self._first else ','}\n    {item}", end="")
            self._first = False
        else:
            say(f"{outcome.job.target}  {outcome.psnr:.2f} dB")

    def close(self) -> None:
        """Print what comes after the last one."""
        from alp.cli.console import say

        if self._json:
            refused = json.dumps(self._refused, ensure_ascii=False)
            say(f'\n  ],\n  "refused": {refused}\n}}')


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


def _as_json(outcome: Outcome) -> dict[str, Any]:
    decibels = outcome.psnr if math.isfinite(outcome.psnr) else None
    job = outcome.job
    return {"picture": str(job.picture), "out": str(job.target), "psnr": decibels}

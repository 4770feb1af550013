"""``alp purify``: purified copies of pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alp.cli.selection import POSITIONAL
from alp.errors import AlpError, ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from alp.models import Purifier

SUFFIX = "-purified.png"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Write purified copies of pictures: NAME-purified.png for each, of the same size. What is
    not a picture is refused; the others are written all the same."""

    pictures: tuple[Path, ...] = field(metadata=POSITIONAL)
    """PNG, JPEG, WebP or BMP files of any size."""
    purifier: Path
    """Weights file, or packaged name, of a purifier or defended classifier."""
    out: Path
    """Folder for the purified pictures."""
    seed: int | None = None
    """Seed of the noise; by default the operating system's entropy, as in serving."""
    json: bool = False
    """Print JSON."""


def run(settings: Settings) -> None:
    """Purify each picture.

    Raises:
        ConfigError: two pictures would get the same name, or one would be overwritten.
        AlpError: a picture was refused; the others have been written.
    """
    from alp.cli.console import note, progress, say, say_json

    targets = target_paths(settings.pictures, settings.out)
    purifier = load_purifier(settings.purifier)
    written: list[dict[str, Any]] = []
    refused = []
    with progress("pictures") as show:
        for number, (picture, target) in enumerate(targets.items(), 1):
            try:
                decibels = purify_file(purifier, picture, target, settings.seed)
                written.append({"picture": str(picture), "out": str(target), "psnr": decibels})
            except AlpError as error:
                refused.append(str(error))
            show("purify", number, len(targets))
    if settings.json:
        say_json({"written": written, "refused": refused})
    else:
        say(*(f"{each['out']}  {each['psnr']:.2f} dB" for each in written))
    if refused:
        for message in refused[:-1]:
            note(f"alp: error: {message}")
        raise AlpError(refused[-1])


def target_paths(pictures: tuple[Path, ...], out: Path) -> dict[Path, Path]:
    """Where the purified copy of each picture goes.

    Raises:
        ConfigError: two go to one place, or one goes to where a picture lies.
    """
    targets: dict[Path, Path] = {}
    for picture in pictures:
        target = out / (picture.stem + SUFFIX)
        if target in targets.values() and picture not in targets:
            raise ConfigError(
                f"{picture} and another picture would both become {target}; purify them into "
                "two folders"
            )
        for other in pictures:
            if target.exists() and other.exists() and target.samefile(other):
                raise ConfigError(
                    f"{target} is one of the pictures and would be overwritten; give another "
                    "folder with --out"
                )
        targets[picture] = target
    return targets


def load_purifier(path: Path) -> Purifier:
    """The purifier in a weights file or a packaged model.

    Raises:
        CheckpointError: it is missing or damaged.
        ConfigError: there is none in it.
    """
    from alp.models import Defended, Purifier
    from alp.models.packaged import load

    model = load(path)
    if isinstance(model, Defended):
        return model.purifier
    if not isinstance(model, Purifier):
        raise ConfigError(f"{path} holds a classifier; give a purifier or a defended classifier")
    return model


def purify_file(purifier: Purifier, picture: Path, target: Path, seed: int | None) -> float:
    """Write the purified ``picture`` to ``target``; its PSNR in dB.

    Raises:
        DataError: it is not a picture.
    """
    import torch

    from alp import seeding
    from alp.cli.pictures import write_png
    from alp.data.decode import decode_one
    from alp.evaluation import psnr

    pixels = torch.tensor(decode_one(picture, str(picture)))
    x: Tensor = pixels.permute(2, 0, 1)[None].float() / 255
    # The same noise for every picture of a size: what else is purified changes nothing.
    source = seeding.entropy() if seed is None else seeding.generator(seed, "purify")
    with torch.inference_mode():
        purified = purifier(x, source)
    write_png(target, purified[0])
    return float(psnr(x, purified))

"""``alp package``: trainings and their evaluation become a package of weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from alp.cli import COMMANDS
from alp.cli.settings import POSITIONAL, WRITTEN, Printed, pairs
from alp.config import positive

if TYPE_CHECKING:
    from alp.experiments.release import Agreement


@dataclass(frozen=True, kw_only=True)
class Settings(Printed):
    """Write a package: the weights of finished trainings in half precision where that costs
    nothing, a manifest with digests, trainings and evaluations, and the model card made from it.
    To quote evaluations of the very weights that are packaged: package, evaluate the package,
    and package again with the records."""

    name: str = field(metadata=POSITIONAL)
    """The package, such as cifar10-lite."""
    rows: tuple[str, ...]
    """ROW=FOLDER of each training; the rows are purifier, standard, adversarial, standalone,
    defended, control, input-noise, frozen-sigma, zero-sigma, guard, diffusion, magnet, hgd,
    ensemble, distilled, certified, certified-half and certified-adversarial. One has to be
    defended or certified."""
    onto: Path | None = None
    """A package, by its name or folder, whose other rows are kept as they are."""
    records: tuple[Path, ...] = ()
    """Folders of records of alp evaluate, alp protocol and alp certify; each finds its row by its
    digests."""
    data: str = "cifar10"
    """The data on whose validation images the precision is decided."""
    images: int = 1000
    """How many of them, a fixed class-balanced choice; at most all."""
    out: Path = field(metadata=WRITTEN)
    """Folder that gets a folder of the package's name."""

    def __post_init__(self) -> None:
        positive(self, "images")


@COMMANDS.register(
    "package", order=11, summary="make a package of weights from trainings and their evaluation"
)
def run(settings: Settings) -> None:
    """Write the package, and say what half precision costs each row."""
    from alp.cli.common import images_of
    from alp.cli.console import show
    from alp.defences.packaged import find_package
    from alp.experiments.release import pack
    from alp.records import read_all
    from alp.report.card import render_card

    rows = pairs("rows", settings.rows, "ROW=FOLDER")
    trained = {row: Path(folder) for row, folder in rows.items()}
    records = []
    for folder in settings.records:
        found, refused = read_all(folder)
        if refused:
            raise refused[0]
        records += found
    agreements: dict[str, Agreement] = {}
    package = pack(
        settings.name,
        trained,
        settings.out,
        images_of(settings.data, "validation", None, settings.images),
        render_card,
        records=records,
        onto=None if settings.onto is None else find_package(settings.onto),
        report=agreements.__setitem__,
    )
    sizes = {name: file["bytes"] for name, file in package.manifest["files"].items()}
    told = {row: asdict(each) for row, each in agreements.items()}
    show(
        settings.json,
        {"package": str(package.folder), "rows": told, "bytes": sizes},
        *(f"{row:<13}{words(each)}" for row, each in agreements.items()),
        f"package      {package.folder}, {sum(sizes.values()):,} bytes in {len(sizes)} files",
    )


def words(agreement: Agreement) -> str:
    """What half precision costs, in one line."""
    unit, scale = (" dB", 1) if agreement.measure == "psnr" else (" %", 100)
    largest = "infinity" if agreement.difference is None else f"{agreement.difference:.2g}"
    before, after = scale * agreement.trained, scale * agreement.rounded
    return (
        f"{'half' if agreement.half else 'single'} precision; rounding changes outputs by at most "
        f"{largest}, leaves {100 * agreement.equal:.2f} % of {agreement.images:,} decisions, and "
        f"takes {before:.2f} to {after:.2f}{unit}"
    )

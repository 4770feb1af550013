"""``alp sweep``: a grid of trainings and evaluations, and one table of what came out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from alp.cli import COMMANDS, settings_of
from alp.cli.common import Started
from alp.cli.settings import POSITIONAL, RESUMED, among, pairs
from alp.config import positive
from alp.data import SPLITS
from alp.errors import AlpError
from alp.evaluation.suites import SUITES
from alp.executors.units import run_units
from alp.files import write_json
from alp.training.recipes import RECIPES, Scale

EVALUATE = "evaluate."
"""What a name of the grid begins with that is an option of 'alp evaluate'."""


@dataclass(frozen=True, kw_only=True)
class Settings(Started):
    """Train a recipe with every combination of settings and evaluate each, on the validation images
    unless others are asked for. A cell of the grid is a folder, with what 'alp train' and 'alp
    evaluate' write. Interrupted, the same command goes on where it stopped."""

    recipe: str = field(metadata=POSITIONAL | among(RECIPES))
    """What to train."""
    grid: tuple[str, ...]
    """NAME=VALUE,VALUE...: an option of 'alp train' and its values, such as
    stage.optim.lr=0.05,0.1 or seed=0,1,2; with evaluate. before it one of 'alp evaluate', such as
    evaluate.draws=1,20. One value holds for all cells."""
    scale: Scale = "cpu"
    """As of 'alp train'."""
    data: str = "cifar10"
    """A data set, or a folder of pictures laid out class/file."""
    split: str = field(default="validation", metadata=among(SPLITS))
    """What is evaluated. What is chosen by the table may not be chosen on test images."""
    images: int = 256
    """How many images are evaluated."""
    suite: str = field(default="quick", metadata=among(SUITES))
    """Of the evaluations."""
    out: Path = field(metadata=RESUMED)
    """Folder for the cells and sweep.json."""

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "images")


@dataclass(frozen=True, order=True)
class Cell:
    """A training, and the evaluations of what it trains."""

    name: str
    """Its settings in words."""
    folder: str
    """Where it is."""
    train: tuple[str, ...]
    """Arguments of ``alp train``."""
    evaluate: tuple[tuple[str, tuple[str, ...]], ...]
    """Settings of each evaluation in words, and the arguments of ``alp evaluate``."""


@COMMANDS.register("sweep", order=8, summary="train and evaluate over a grid of settings")
def run(settings: Settings) -> None:
    """Do the cells that are missing, then print the table."""
    from alp.cli.console import progress, show, table, warn

    cells = list(cells_of(settings))
    for cell in cells:  # before hours of training
        settings_of("train", *cell.train)
        for _, arguments in cell.evaluate:
            settings_of("evaluate", *arguments)
    found: dict[str, list[dict[str, Any]]] = {}
    crew = settings.crew
    with (
        progress("cells") as bar,
        crew.workers.start(crew.count, crew.size) as executor,
    ):
        bar("sweep", 0, len(cells))

        def keep(cell: Cell, rows: list[dict[str, Any]]) -> list[Cell]:
            found[cell.name] = rows
            bar("sweep", len(found), len(cells), cell.name)
            return []

        run_units(
            executor,
            cells,
            lambda cell: executor.submit(do_cell, cell),
            keep,
            lambda cell: cell.name,
            warn,
        )
    rows = [row for cell in cells for row in found[cell.name]]
    write_json(settings.out / "sweep.json", {"rows": rows})
    show(
        settings.json,
        {"rows": rows, "folder": str(settings.out)},
        table([["cell", "clean", "worst case", "95 % interval", "checks"], *map(_line, rows)]),
        f"cells      {settings.out}",
    )


def cells_of(settings: Settings) -> Iterator[Cell]:
    """The cells of the grid, in its order.

    Raises:
        UsageError: an entry is no name with values, or is given twice.
    """
    given = pairs("grid", settings.grid, "NAME=VALUE,VALUE...")
    axes = {name: values.split(",") for name, values in given.items()}
    trained = {name: axes[name] for name in axes if not name.startswith(EVALUATE)}
    judged = {name: axes[name] for name in axes if name.startswith(EVALUATE)}
    for chosen in _combinations(trained):
        words = _words(chosen, trained) or settings.recipe
        folder = settings.out / words.replace("/", "_")
        train = [settings.recipe, "--scale", settings.scale, "--data", settings.data]
        train += ["--engine.threads", str(settings.crew.size)]
        train += [*_options(chosen), "--out", str(folder)]
        evaluations = []
        for other in _combinations(judged):
            told = _words(other, judged)
            common = [str(folder / "weights.safetensors"), "--data", settings.data]
            common += ["--split", settings.split, "--images", str(settings.images)]
            common += ["--suite", settings.suite, "--threads", str(settings.crew.size)]
            out = folder / (told.replace("/", "_") or "evaluation")
            arguments = (*common, *_options(other, EVALUATE), "--out", str(out))
            evaluations.append((told, arguments))
        yield Cell(words, str(folder), tuple(train), tuple(evaluations))


def do_cell(cell: Cell) -> list[dict[str, Any]]:
    """Train and evaluate a cell; the rows of its table. What the commands print goes to ``log.txt``
    in its folder. An error of alp's own, such as a training that diverges, is a row's result."""
    from alp.records import conclude
    from alp.records.tree import read_tree

    folder = Path(cell.folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    with (
        (folder / "log.txt").open("a") as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        try:
            COMMANDS["train"](settings_of("train", *cell.train))
        except AlpError as error:
            return [{"cell": cell.name, "error": str(error)}]
        for told, arguments in cell.evaluate:
            row: dict[str, Any] = {"cell": " ".join(filter(None, (cell.name, told)))}
            try:
                COMMANDS["evaluate"](settings_of("evaluate", *arguments))
                (kept,), _ = read_tree(Path(arguments[-1]))
                found = conclude(kept.record)
                row |= {name: found[name] for name in ("clean", "worst", "checks", "warnings")}
            except AlpError as error:
                row["error"] = str(error)
            rows.append(row)
    return rows


def _combinations(axes: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    for values in product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def _options(chosen: Mapping[str, str], prefix: str = "") -> list[str]:
    return [part for name, value in chosen.items() for part in (f"--{name[len(prefix) :]}", value)]


def _words(chosen: Mapping[str, str], axes: Mapping[str, Sequence[str]]) -> str:
    """The settings in which cells differ."""
    return " ".join(f"{name}={value}" for name, value in chosen.items() if len(axes[name]) > 1)


def _line(row: Mapping[str, Any]) -> list[str]:
    from alp.report.format import interval, percent

    if "error" in row:
        return [row["cell"], "failed", row["error"], "", ""]
    passed = sum(check["passed"] for check in row["checks"])
    worst = row["worst"]
    return [
        row["cell"],
        percent(row["clean"]["value"]),
        percent(worst["value"]),
        interval(worst),
        f"{passed} of {len(row['checks'])}",
    ]

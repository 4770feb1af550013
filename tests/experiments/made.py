"""Records made by hand, and what is judged of them."""

from __future__ import annotations

import numpy as np

from alp.experiments.findings import judge
from alp.records import Kept, Record
from alp.report.claims import Judged

IMAGES = 200
CIFAR10 = {"data": {"name": "cifar10", "split": "test"}}


def kept(record: Record, item: str, number: int = 0, folder: str = "") -> Kept:
    header = {**record.header, "item": item}
    path = f"{folder or item}/records/{number}.json"
    return Kept(path, Record(header, record.columns))


def points(item: str, cells, *, trial: int = 0, passed: float = 1.0, **header) -> Kept:
    """A record of points from (level, eps, sigma, share that is right, PSNR)."""
    entries, columns = [], {"index": np.arange(IMAGES), "label": np.zeros(IMAGES, int)}
    for number, (level, eps, sigma, share, psnr) in enumerate(cells):
        entries.append(
            {"name": f"p{number}", "level": level, "eps": eps, "sigma": sigma, "averaged": 1}
        )
        columns[f"p{number}_correct"] = np.arange(IMAGES) < share * IMAGES
        columns[f"p{number}_psnr"] = np.full(IMAGES, psnr, np.float32)
        columns[f"p{number}_passed"] = passed + np.linspace(-0.01, 0.01, IMAGES)
    base = {
        "kind": "points",
        "name": "A-ALP + AT",
        "trial": trial,
        "seed": 0,
        "draws": 20,
        "images": IMAGES,
        "data": {"name": "cifar10", "split": "test"},
        "data_digest": "d1",
        "sigma": 0.6,
        "attack": {"name": "fgsm"},
        "threat": {"name": "linf"},
        "points": entries,
    }
    return kept(Record({**base, **header}, columns), item, number=trial)


def found(records, id: str) -> Judged:
    return next(each for each in judge(records) if each.id == id)


def leaderboard(name: str, levels: dict[str, float], number: int, **header) -> Kept:
    """A verdict of a defence that no experiment made: level to the share that it leaves."""
    columns = {name: np.full(IMAGES, 2) for name in ("clean_select", "clean_fresh", "psnr")}
    columns["index"] = np.arange(IMAGES)
    entries = []
    for level, left in levels.items():
        attacked = 2 * (np.arange(IMAGES) < left * IMAGES)
        columns |= {f"{level}_{part}": attacked for part in ("select", "fresh")}
        columns[f"{level}_attacked"] = np.ones(IMAGES, bool)
        attack = {"name": "pgd"}
        entries.append({"name": level, "level": level, "attack": attack, "closing": False})
    base = {
        "kind": "verdict",
        "name": name,
        "evaluations": 2,
        "data_digest": "d1",
        "entries": entries,
        "defence": {"kind": name},
        **{"trial": 0, "draws": 1, "suite": "quick", "checks": [], "sigma": None, "warnings": []},
        **CIFAR10,
    }
    return kept(Record({**base, **header}, columns), "", number, "leaderboard")

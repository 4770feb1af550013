"""One record, bit for bit, wherever its units run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

import alp
from alp.attacks import PGD, Linf
from alp.config import ClassifierConfig
from alp.data import Images, load_data
from alp.data.origin import DataOrigin
from alp.defences import ResNetLite
from alp.defences.checkpoint import weights_digest
from alp.defences.identity import ModelOrigin
from alp.defences.sending import reference
from alp.errors import AlpError, ConfigError
from alp.evaluation import About, Entry, Probes, Suite
from alp.executors import EXECUTORS
from alp.executors.shares import ShareDone
from alp.records import Record, write
from alp.seeding import initialising

pytestmark = pytest.mark.slow

SUITE = Suite(
    "tiny",
    (Entry("single", PGD(2)),),
    (Entry("single", PGD(3)),),
    1,
    Probes(images=4, steps=(2, 3), draws=1),
)
ENGINES = ["processes", "dask", "submitit", "ray"]
MODULES = {"dask": "distributed"}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ResNetLite:
    """A classifier in a file."""
    path = tmp_path_factory.mktemp("model") / "weights.safetensors"
    with initialising(0, "model"):
        alp.save(ResNetLite(ClassifierConfig("tiny", 10)).eval(), path)
    return alp.load(path)


@pytest.fixture(scope="module")
def images() -> Images:
    return load_data("shapes", "test").take(10)


def evaluated(model: ResNetLite, images: Images, **options: Any) -> Record:
    about = About("toy", weights={"model": weights_digest(model)})
    given = {"about": about, "threads": 1, "batch_size": 4, **options}
    return alp.evaluate(model, images, Linf(0.05), SUITE, **given)


def certified(model: ResNetLite, images: Images, **options: Any) -> Record:
    plan = {"sigma": 0.25, "radii": (0.0,), "budget": 256, "batch_size": 4}
    given = {**plan, "threads": 1, **options}
    return alp.certify(model, images, **given)


MADE = {"evaluate": evaluated, "certify": certified}


@pytest.fixture(scope="module", params=list(MADE))
def made(request: pytest.FixtureRequest) -> Callable[..., Record]:
    return MADE[request.param]


@pytest.fixture(scope="module")
def alone(made, model, images, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The files of the record of one process."""
    return files(made(model, images), tmp_path_factory.mktemp("alone"))


def files(record: Record, folder: Path) -> list[bytes]:
    write(record, folder / "record")
    return [(folder / f"record.{ending}").read_bytes() for ending in ("json", "parquet")]


@contextmanager
def started(name: str) -> Iterator[Executor]:
    """An executor of two workers, if its engine is installed."""
    if name in ENGINES[1:] and find_spec(MODULES.get(name, name)) is None:
        pytest.skip(f"{name} is not installed")
    with EXECUTORS[name]().start(2, 1) as executor:
        yield executor


def test_anybodys_executor_will_do(made, model, images, alone, tmp_path) -> None:
    with ThreadPoolExecutor(3) as executor:
        assert files(made(model, images, executor=executor), tmp_path) == alone
        assert executor.submit(sum, (1, 2)).result() == 3, "it is left open"


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_shares_make_the_record_of_one_process(made, model, images, alone, tmp_path, order) -> None:
    for number in order:
        with pytest.raises(ShareDone, match=f"share {number}/3 of .* is done"):
            made(model, images, resume=tmp_path / "parts", share=f"{number}/3")
    before = len(list((tmp_path / "parts").glob("*.parquet")))
    assert files(made(model, images, resume=tmp_path / "parts"), tmp_path) == alone
    assert len(list((tmp_path / "parts").glob("*.parquet"))) == before, "nothing was missing"


def test_what_a_share_leaves_out_is_done_by_the_rest(made, model, images, alone, tmp_path) -> None:
    with pytest.raises(ShareDone, match="are missing"):
        made(model, images, resume=tmp_path / "parts", share="2/3")
    assert files(made(model, images, resume=tmp_path / "parts"), tmp_path) == alone


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"threads": 2}, r"threads(| \(1 there, 2 here\))\)"),
        ({"seed": 1}, "seed"),
        ({"images": 9}, "images, data_digest"),
        ({"weights": 1}, "weights"),
        ({"versions": True}, r"alp \(.* there, 0.0.0 here\)"),
    ],
)
def test_a_share_that_would_give_other_numbers_is_refused(
    made, model, images, tmp_path, monkeypatch, change, differs
) -> None:
    with pytest.raises(ShareDone):
        made(model, images, resume=tmp_path, share="1/3")
    if "images" in change:
        images, change = images.take(change["images"]), {}
    if "weights" in change:
        with initialising(change["weights"], "model"):
            model, change = ResNetLite(ClassifierConfig("tiny", 10)).eval(), {}
    if "versions" in change:
        for place in ("evaluation.header", "evaluation.voting"):
            monkeypatch.setattr(f"alp.{place}.versions", lambda: {"alp": "0.0.0"})
        change = {}
    with pytest.raises(ConfigError, match=rf"differs in: .*{differs}"):
        made(model, images, resume=tmp_path, share="2/3", **change)


def test_a_share_needs_a_folder(made, model, images) -> None:
    with pytest.raises(ConfigError, match="share 1/2 needs a resume folder"):
        made(model, images, share="1/2")


def test_models_and_data_are_sent_by_name_and_digest(model, images) -> None:
    sent = reference(model)
    assert isinstance(sent, ModelOrigin)
    assert sent.digest == weights_digest(model)
    assert isinstance(images.reference(), DataOrigin)
    assert alp.data.loaded(images.reference()).digest == images.digest
    changed = alp.load(sent.place)
    with torch.no_grad():
        next(changed.parameters()).add_(1)
    assert reference(changed) is changed, "it is not what is in the file any more"
    part = images.subset(torch.arange(3))
    assert part.reference() is part


def test_a_worker_with_other_weights_or_data_is_refused(model, images, tmp_path) -> None:
    from dataclasses import replace

    from alp.defences.packaged import loaded

    with pytest.raises(AlpError, match="holds other weights"):
        loaded(replace(reference(model), digest="0" * 64), "cpu")
    with pytest.raises(AlpError, match="give that machine the same data"):
        alp.data.loaded(replace(images.reference(), digest="0" * 64))

"""The loader on small files in CIFAR-10's layout, and on the real ones where they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alp.data import cifar10, load_data
from alp.data.cifar10 import find_files
from alp.data.decode import decode_one
from alp.errors import DataError

pytestmark = pytest.mark.slow

COUNTS = {"train": 10, "test": 2}


@pytest.fixture
def small(
    tmp_path: Path, paint: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], None]:
    """``ALP_DATA`` with 100 train images in two files and 20 test images, taken to be CIFAR-10.

    Gives a function that writes the files again.
    """
    folder = tmp_path / "cifar10"
    folder.mkdir()

    def write() -> None:
        for part, shards in [("train", 2), ("test", 1)]:
            rows = np.arange(10 * COUNTS[part]).reshape(shards, -1)
            for shard in range(shards):
                pictures = [{"bytes": paint(int(k)), "path": None} for k in rows[shard]]
                table = pa.table({"img": pictures, "label": rows[shard] % 10})
                pq.write_table(table, folder / f"{part}-{shard:05d}-of-{shards:05d}.parquet")

    write()
    monkeypatch.setenv("ALP_DATA", str(tmp_path))
    monkeypatch.setattr(cifar10, "PER_CLASS", COUNTS)
    pools = {part: cifar10.decode(find_files(part), part) for part in COUNTS}
    train, validation = cifar10.carve_validation(pools["train"])
    digests = {"train": train, "validation": validation, "test": pools["test"]}
    monkeypatch.setattr(cifar10, "DIGESTS", {k: v.digest for k, v in digests.items()})
    return write


@pytest.mark.usefixtures("small")
def test_the_splits_are_disjoint_and_complete() -> None:
    train, validation, test = (
        load_data("cifar10", split) for split in ("train", "validation", "test")
    )
    assert [len(train), len(validation), len(test)] == [90, 10, 20]
    assert validation.labels.sort().values.tolist() == list(range(10))
    pool = cifar10.decode(find_files("train"), "train")
    rows = [image.numpy().tobytes() for data in (train, validation) for image in data.images]
    assert sorted(rows) == sorted(image.numpy().tobytes() for image in pool.images)
    assert train.classes[3] == "cat"
    assert (train.name, train.split) == ("cifar10", "train")


@pytest.mark.usefixtures("small")
def test_pixels_are_channels_first_and_keep_their_label(paint: Callable[..., bytes]) -> None:
    test = load_data("cifar10", "test")
    for number in (0, 13):
        pixels = torch.from_numpy(decode_one(paint(number), "x").copy()).permute(2, 0, 1)
        (row,) = (test.images == pixels).flatten(1).all(1).nonzero().flatten().tolist()
        assert test.labels[row] == number % 10


@pytest.mark.usefixtures("small")
def test_the_order_and_the_number_of_the_files_do_not_matter(tmp_path: Path) -> None:
    before = {split: load_data("cifar10", split).digest for split in ("train", "validation")}
    folder = tmp_path / "cifar10"
    paths = sorted(folder.glob("train-*"))
    table = pa.concat_tables([pq.read_table(path) for path in paths])
    for path in paths:
        path.unlink()
    (folder / "plain_text").mkdir()
    shuffled = table.take(np.random.default_rng(0).permutation(len(table)))
    pq.write_table(shuffled, folder / "plain_text" / "train-00000-of-00001.parquet")
    assert {split: load_data("cifar10", split).digest for split in before} == before


@pytest.mark.usefixtures("small")
def test_pictures_are_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_data("cifar10", "train")
    monkeypatch.setattr(cifar10, "decode", None)
    assert torch.equal(load_data("cifar10", "train").images, first.images)
    assert load_data("cifar10", "validation").split == "validation"
    with pytest.raises(TypeError):
        load_data("cifar10", "test")  # was never decoded


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_truncated_anywhere_is_named_even_when_cached(
    small: Callable[[], None], tmp_path: Path, share: float
) -> None:
    load_data("cifar10", "test")
    path = tmp_path / "cifar10" / "test-00000-of-00001.parquet"
    content = path.read_bytes()
    try:
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(DataError, match=r"test-00000-of-00001\.parquet.*set ALP_DATA"):
            load_data("cifar10", "test")
    finally:
        path.write_bytes(content)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_harmless(
    small: Callable[[], None], tmp_path: Path, share: float, bit: int
) -> None:
    path = tmp_path / "cifar10" / "test-00000-of-00001.parquet"
    content = path.read_bytes()
    position = int(share * len(content))
    try:
        flipped = bytes([content[position] ^ 1 << bit])
        path.write_bytes(content[:position] + flipped + content[position + 1 :])
        outcome = outcome_of(lambda: load_data("cifar10", "test").digest)
        assert outcome == cifar10.DIGESTS["test"] or path.name in outcome
    finally:
        path.write_bytes(content)


def outcome_of(load: Callable[[], str]) -> str:
    """What ``load`` gives, or the message of its DataError; any other exception is a failure."""
    try:
        return load()
    except DataError as error:
        return str(error)


@pytest.mark.parametrize("name", ["train-00000-of-00002", "train-00001-of-00002"])
@pytest.mark.usefixtures("small")
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "cifar10" / f"{name}.parquet").unlink()
    with pytest.raises(DataError, match=rf"{name}\.parquet is missing: set ALP_DATA"):
        load_data("cifar10", "train")
    assert len(load_data("cifar10", "test")) == 20


@pytest.mark.usefixtures("small")
def test_images_of_another_data_set_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cifar10.DIGESTS, "validation", "0" * 64)
    with pytest.raises(DataError, match=r"not the published CIFAR-10 \(validation has sha256"):
        load_data("cifar10", "train")


@pytest.mark.parametrize(
    "labels", [[0] * 20, [*range(10)], [-1, *range(1, 10)] * 2, [*range(10), *range(1, 11)]]
)
@pytest.mark.usefixtures("small")
def test_other_counts_are_refused(
    tmp_path: Path, paint: Callable[..., bytes], labels: list[int]
) -> None:
    pictures = [{"bytes": paint(k), "path": None} for k in range(len(labels))]
    path = tmp_path / "cifar10" / "test-00000-of-00001.parquet"
    pq.write_table(pa.table({"img": pictures, "label": labels}), path)
    with pytest.raises(DataError, match=rf"hold {len(labels)} images with class counts"):
        load_data("cifar10", "test")


@pytest.mark.usefixtures("small")
def test_a_picture_of_another_size_is_named(tmp_path: Path, paint: Callable[..., bytes]) -> None:
    pictures = [{"bytes": paint(k, size=(31, 32)), "path": None} for k in range(20)]
    path = tmp_path / "cifar10" / "test-00000-of-00001.parquet"
    pq.write_table(pa.table({"img": pictures, "label": [*range(10)] * 2}), path)
    with pytest.raises(DataError, match=r"test-00000.*, row \d+ is 31x32 pixels, expected 32x32"):
        load_data("cifar10", "test")


def test_a_root_overrides_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALP_DATA", str(tmp_path / "setting"))
    with pytest.raises(DataError, match=r"no folder .*setting/cifar10: set ALP_DATA"):
        load_data("cifar10", "test")
    with pytest.raises(DataError, match=r"no folder .*given/cifar10: set ALP_DATA"):
        load_data("cifar10", "test", root=tmp_path / "given")


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "cifar10").mkdir()
    with pytest.raises(DataError, match=r"no test-00000-of-\*\.parquet in .*cifar10"):
        load_data("cifar10", "test", root=tmp_path)


@pytest.mark.cifar10
def test_the_published_training_files_are_verified_and_split() -> None:
    train = load_data("cifar10", "train")
    validation = load_data("cifar10", "validation")
    assert train.labels.bincount().tolist() == [4500] * 10
    assert validation.labels.bincount().tolist() == [500] * 10
    assert train.digest == cifar10.DIGESTS["train"]
    assert validation.digest == cifar10.DIGESTS["validation"]
    # the per-channel means that the literature gives for the whole training set
    whole = torch.cat([train.images, validation.images]).float().mean((0, 2, 3)) / 255
    assert whole.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4)


@pytest.mark.cifar10
def test_the_published_test_file_is_verified() -> None:
    test = load_data("cifar10", "test")
    assert test.labels.bincount().tolist() == [1000] * 10
    assert test.digest == cifar10.DIGESTS["test"]

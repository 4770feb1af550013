"""Pictures of any size and mode, decoded in memory or as they are needed, from files and tables."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from alp.config import FrameConfig
from alp.data import Images, load_data, streamed
from alp.data.decode import framed
from alp.data.streamed import Streamed
from alp.errors import DataError

FRAME = FrameConfig(24, 24, 0.8)


def picture(number: int) -> Image.Image:
    """A picture of a size and mode of its own."""
    random = np.random.default_rng(number)
    height, width = random.integers(16, 60, 2)
    image = Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
    mode = ("RGB", "L", "RGBA", "P")[number % 4]
    return image.convert(mode)


def encoded(number: int) -> bytes:
    buffer = io.BytesIO()
    picture(number).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    folder = tmp_path / "mixed"
    for label, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for k in range(15):
            image, exif = picture(100 * label + k), Image.Exif()
            exif[0x0112] = 1 + k % 8  # turned and mirrored in every way
            if image.mode in ("RGB", "L") and k % 2:
                image.save(folder / name / f"{k}.jpg", exif=exif, quality=95)
            else:
                image.save(folder / name / f"{k}.png", exif=exif)
    return folder


def test_pictures_of_any_size_become_images_of_one(mixed: Path) -> None:
    with pytest.raises(DataError, match=r"resize all to one: --size N"):
        load_data(mixed, "train")
    parts = [load_data(mixed, split, frame=FRAME) for split in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [22, 2, 6]
    assert {tuple(part.images.shape[1:]) for part in parts} == {(3, 24, 24)}
    other = load_data(mixed, "train", frame=FrameConfig(24, 24))
    assert other.digest != parts[0].digest, "the crop is part of what is cached"
    assert load_data(mixed, "train", frame=FRAME).digest == parts[0].digest


def test_the_middle_is_kept_as_transforms_of_classifiers_do() -> None:
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 20:60] = 255  # the middle square
    assert (framed(pixels, FrameConfig(20, 20)) > 200).all()
    assert framed(pixels, FrameConfig(10, 30)).shape == (10, 30, 3)
    same = framed(pixels, FrameConfig(40, 80))
    assert np.array_equal(same, pixels)
    inner = framed(pixels, FrameConfig(20, 20, 0.5, "nearest"))
    assert np.array_equal(inner, pixels[10:30, 30:50])


def test_a_large_split_is_decoded_as_it_is_needed(mixed: Path, monkeypatch) -> None:
    whole = load_data(mixed, "train", frame=FRAME)
    monkeypatch.setattr(streamed, "LIMIT", 10 * 3 * 24 * 24)
    lazy = load_data(mixed, "train", frame=FRAME)
    assert isinstance(lazy.images, Streamed)
    assert lazy.images.shape == whole.images.shape
    index = torch.tensor([5, 0, 21])
    for one, other in zip(lazy.batch(index), whole.batch(index), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(lazy.images[2:4], whole.images[2:4])
    few, many = lazy.take(6), lazy.take(15)
    assert isinstance(few.images, torch.Tensor)
    assert isinstance(many.images, Streamed)
    assert torch.equal(few.images, whole.take(6).images)
    assert few.digest == whole.take(6).digest
    assert lazy.digest == load_data(mixed, "train", frame=FRAME).digest != many.digest
    assert lazy.framed(FrameConfig(8, 8)).images.shape == (22, 3, 8, 8)
    assert sum(len(y) for _, _, y in lazy.batches(4)) == 22


def test_images_in_memory_take_another_size() -> None:
    images = load_data("shapes", "test", frame=FrameConfig(48, 40))
    assert images.images.shape[1:] == (3, 48, 40)
    assert images.classes == load_data("shapes", "test").classes


def table(labels: list, **metadata) -> pa.Table:
    pictures = [{"bytes": encoded(k), "path": None} for k in range(len(labels))]
    made = pa.table({"image": pictures, "label": labels})
    return made.replace_schema_metadata({"huggingface": json.dumps(metadata)}) if metadata else made


NAMES = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}


@pytest.mark.parametrize("kind", ["parquet", "arrow", "dict"])
def test_data_sets_of_hugging_face(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "pets"
    (folder / "data").mkdir(parents=True)
    content = {"train": table([0, 1] * 10, **NAMES), "test": table([1, 0, 1], **NAMES)}
    if kind == "parquet":
        for split, rows in content.items():
            pq.write_table(rows, folder / "data" / f"{split}-00000-of-00001.parquet")
    elif kind == "dict":
        (folder / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
        for split, rows in content.items():
            (folder / split).mkdir()
            write_arrow(folder / split / "data-00000-of-00001.arrow", rows)
    else:
        (folder / "state.json").write_text("{}")
        write_arrow(folder / "data-00000-of-00001.arrow", content["train"])
    train, test = (load_data(folder, split, frame=FRAME) for split in ("train", "test"))
    assert train.classes == ("cat", "dog")
    assert test.labels.tolist() == ([1, 0, 1] if kind != "arrow" else test.labels.tolist())
    assert len(train) == (18 if kind != "arrow" else 14)
    expected = Images.of(test.images, test.labels, test.classes, "pets", "test").digest
    assert test.digest == expected


@pytest.mark.parametrize("first", ["train", "validation"])
def test_the_order_in_which_splits_are_loaded_changes_nothing(tmp_path: Path, first: str) -> None:
    for split, count in (("train", 20), ("validation", 40), ("test", 4)):
        rows = table([0, 1] * (count // 2), **NAMES)
        pq.write_table(rows, tmp_path / f"{split}-00000-of-00001.parquet")
    load_data(tmp_path, first, frame=FRAME)
    train, validation = (load_data(tmp_path, each, frame=FRAME) for each in ("train", "validation"))
    assert (len(train), len(validation)) == (18, 2)


def write_arrow(path: Path, rows: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)


def test_labels_may_be_texts(tmp_path: Path) -> None:
    pq.write_table(table(["dog", "cat"] * 10), tmp_path / "all.parquet")
    images = load_data(tmp_path, "train", frame=FRAME)
    assert images.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (pa.table({"picture_of": [b"x"], "label": [0]}), "rename one to 'image'"),
        (pa.table({"image": [b"x"], "kind": [0]}), "rename one to 'label'"),
        (pa.table({"image": [b"no picture"] * 8, "label": [0, 1] * 4}), "picture 0 of .* readable"),
        (pa.table({"image": [None] * 8, "label": [0, 1] * 4}), "holds no bytes"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path: Path, rows: pa.Table, message: str) -> None:
    pq.write_table(rows, tmp_path / "all.parquet")
    with pytest.raises(DataError, match=message):
        load_data(tmp_path, "train")


def test_a_damaged_table_says_so(tmp_path: Path) -> None:
    (tmp_path / "all.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match="cannot be read"):
        load_data(tmp_path, "train")

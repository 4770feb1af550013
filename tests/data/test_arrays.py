"""Images and labels as users have them: taken, or refused with what to give."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from alp.data import Images
from alp.errors import AlpError, ConfigError, DataError
from alp.seeding import generator

NAMES = ("cat", "dog", "cow")
N = 6


def pixels() -> torch.Tensor:
    made = torch.randint(256, (N, 3, 4, 5), generator=generator(0, "pixels"))
    return made.to(torch.uint8)


def labels() -> torch.Tensor:
    return torch.arange(N) % 3


WRONG_IMAGES = {
    "channels last": (pixels().permute(0, 2, 3, 1), r"NHWC.*permute\(0, 3, 1, 2\)"),
    "grey": (pixels()[:, :1], "grey.*repeat the grey channel"),
    "one image": (pixels()[0], r"single one.*images\[None\]"),
    "four channels": (pixels()[:, [0, 1, 2, 0]], r"shape \(6, 4, 4, 5\); give uint8"),
    "flat": (pixels().flatten(1), r"shape \(6, 60\); give uint8"),
    "no pixels": (pixels()[..., :0], "shape"),
    "floats": (pixels().float() / 255, r"float32; give uint8.*from_arrays"),
    "int64": (pixels().long(), "int64; give uint8"),
    "an array": (pixels().numpy(), r"ndarray; give uint8.*from_arrays"),
    "nothing": (None, "NoneType; give uint8"),
    "sparse": (pixels().to_sparse(), r"sparse_coo.*\.cpu\(\)"),
    "meta": (pixels().to("meta"), "on meta"),
}

WRONG_LABELS = {
    "int32": (labels().int(), r"int32; give int64.*from_arrays"),
    "float": (labels().float(), "float32; give int64"),
    "bool": (labels() > 1, "bool; give int64"),
    "-1": (torch.tensor([0, 1, 2, -1, 0, -1]), r"label -1 of image 3 .*\(2 labels.*0 to 2"),
    "too large": (torch.tensor([0, 1, 2, 3, 0, 1]), "label 3 of image 3 is no class"),
    "one-hot": (torch.eye(3, dtype=torch.int64)[labels()], r"one-hot.*labels\.argmax\(1\)"),
    "scores": (torch.eye(3)[labels()], r"one-hot.*labels\.argmax\(1\)"),
    "fewer": (labels()[:5], "6 images and 5 labels"),
    "a scalar": (torch.tensor(0), r"shape \(\); give int64"),
    "a list": (labels().tolist(), r"list; give int64.*from_arrays"),
    "three axes": (labels().view(6, 1, 1), r"shape \(6, 1, 1\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_IMAGES)
def test_other_images_are_refused_with_what_to_give(case: str) -> None:
    wrong, said = WRONG_IMAGES[case]
    with pytest.raises(DataError, match=said):
        Images.of(wrong, labels(), NAMES, "toy", "test")


@pytest.mark.parametrize("case", WRONG_LABELS)
def test_other_labels_are_refused_with_what_to_give(case: str) -> None:
    wrong, said = WRONG_LABELS[case]
    with pytest.raises(DataError, match=said):
        Images.of(pixels(), wrong, NAMES, "toy", "test")


@pytest.mark.parametrize("names", [(), ("a", "a", "b"), (0, 1, 2), 3, None, {"a", "b", "c"}])
def test_class_names_are_distinct_texts(names: Any) -> None:
    with pytest.raises(ConfigError, match=r"class names are|two classes have the name 'a'"):
        Images.of(pixels(), labels(), names, "toy", "test")


INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]


@pytest.mark.parametrize("kind", [*INTEGERS, list, torch.int32, torch.uint8])
def test_labels_of_any_integers_are_converted(kind: Any) -> None:
    if kind is list:
        given_labels: Any = labels().tolist()
    elif isinstance(kind, torch.dtype):
        given_labels = labels().to(kind)
    else:
        given_labels = labels().numpy().astype(kind)
    data = Images.from_arrays(pixels().numpy(), given_labels, NAMES)
    assert data.digest == Images.of(pixels(), labels(), NAMES, "arrays", "test").digest
    assert data.labels.dtype == torch.int64


FLOATS = [torch.float16, torch.float32, torch.float64, np.float16, np.float32]


@pytest.mark.parametrize("kind", FLOATS)
def test_floats_that_are_grey_levels_are_converted_exactly(kind: Any) -> None:
    """All 256 of them."""
    levels = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 3, 16, 16)
    floats: Any = (levels.double() / 255).to(kind) if isinstance(kind, torch.dtype) else None
    if floats is None:
        floats = (levels.numpy() / 255).astype(kind)
    data = Images.from_arrays(floats, [0], NAMES)
    assert torch.equal(data.images, levels)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x * 255, "out of"), (lambda x: (x - 0.5) / 0.25, "out of"),
        (lambda x: x * torch.nan, "NaN"), (lambda x: x / 2, "between the 256 grey levels"),
        (lambda x: x.bfloat16(), "between the 256 grey levels"),
    ],
)  # fmt: skip
def test_floats_that_are_no_grey_levels_are_refused(change: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        Images.from_arrays(change(pixels().float() / 255), labels(), NAMES)


@pytest.mark.parametrize("case", [c for c in WRONG_IMAGES if c not in ("floats", "an array")])
def test_from_arrays_refuses_what_it_cannot_convert(case: str) -> None:
    with pytest.raises(DataError):
        Images.from_arrays(WRONG_IMAGES[case][0], labels(), NAMES)


@pytest.mark.parametrize(
    "wrong",
    [["a"] * N, [1.0] * N, [None] * N, [[1], [2, 3]], "012012", {0: 1}, [2**70] * N, [-1] * N,
     np.array([2**64 - 1] * N, np.uint64), np.zeros(N, "M8[s]"), np.zeros(N, complex), range(3)],
)  # fmt: skip
def test_labels_that_are_no_positions_are_refused(wrong: Any) -> None:
    with pytest.raises(DataError):
        Images.from_arrays(pixels(), wrong, NAMES)


def test_arrays_are_copied() -> None:
    array, numbers = pixels().numpy(), labels().numpy()
    data = Images.from_arrays(array, numbers, NAMES)
    before = data.images.clone(), data.labels.clone()
    array[:], numbers[:] = 0, 0
    assert torch.equal(data.images, before[0])
    assert torch.equal(data.labels, before[1])


def test_strides_and_byte_orders_do_not_matter() -> None:
    data = Images.of(pixels(), labels(), NAMES, "arrays", "test")
    reversed_twice = pixels().numpy()[::-1][::-1]
    big_endian = labels().numpy().astype(">i4")
    assert Images.from_arrays(reversed_twice, big_endian, NAMES).digest == data.digest
    floats = (pixels().numpy() / 255).astype(">f4")
    assert Images.from_arrays(floats, labels(), NAMES).digest == data.digest


def test_no_images_at_all_are_data_too() -> None:
    empty = Images.of(pixels()[:0], labels()[:0], NAMES, "toy", "test")
    assert len(empty) == 0


any_array = arrays.arrays(
    st.one_of(
        arrays.integer_dtypes(), arrays.unsigned_integer_dtypes(), arrays.floating_dtypes(),
        arrays.boolean_dtypes(), arrays.unicode_string_dtypes(max_len=3),
    ),
    st.sampled_from(
        [(2, 3, 2, 2), (2, 2, 2, 3), (2,), (3,), (2, 3), (), (2, 1, 2, 2), (0, 3, 1, 1)]
    ),
)  # fmt: skip


@given(images=any_array, numbers=any_array | st.lists(st.integers(), max_size=3))
def test_any_arrays_are_taken_as_they_are_or_refused(images: Any, numbers: Any) -> None:
    before = images.copy()
    with suppress(AlpError):
        data = Images.from_arrays(images, numbers, ("a", "b"))
        assert data.images.shape == images.shape
        assert data.labels.tolist() == [int(k) for k in numbers]
        assert all(0 <= k < 2 for k in data.labels.tolist())
        whole = data.images.numpy()
        same = whole if images.dtype.kind in "iu" else whole / 255
        assert np.allclose(same, images.astype(float), atol=1e-3)
    assert np.array_equal(images, before, equal_nan=images.dtype.kind == "f")

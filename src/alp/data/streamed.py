"""Pictures that are decoded when they are asked for, for data that does not fit in memory."""

from __future__ import annotations

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from alp.config import FrameConfig, to_dict
from alp.data.decode import REPAIR, Pixels, decode_one, framed
from alp.errors import DataError

LIMIT = 2**30
"""Bytes of decoded pixels above which a split is decoded as it is asked for."""


class Pictures(ABC):
    """Pictures somewhere, each of any size."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, row: int) -> str:
        """What messages call a picture."""

    @abstractmethod
    def pixels(self, row: int) -> Pixels:
        """A picture as sRGB, uint8 (H,W,3).

        Raises:
            DataError: it cannot be decoded.
        """

    @abstractmethod
    def content(self, row: int) -> bytes:
        """What a picture's digest is made of."""


@dataclass(frozen=True)
class Files(Pictures):
    """Picture files."""

    paths: Sequence[Path]

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, row: int) -> str:
        return str(self.paths[row])

    def pixels(self, row: int) -> Pixels:
        return decode_one(self.paths[row], str(self.paths[row]))

    def content(self, row: int) -> bytes:
        try:
            return self.paths[row].read_bytes()
        except OSError as error:
            raise DataError(
                f"{self.paths[row]} cannot be read ({error.strerror}): correct its rights, or "
                "remove it"
            ) from error


@dataclass(frozen=True, eq=False)
class Streamed:
    """Rows of pictures as a tensor uint8 (N,3,H,W) of which only what is asked for is decoded.

    It is indexed by rows alone: by a tensor of positions or a slice.
    """

    pictures: Pictures
    rows: npt.NDArray[np.int64]
    """Which pictures, in this order."""
    frame: FrameConfig
    """How each becomes an image."""
    exact: bool = False
    """Whether each has to have its size already."""
    dtype: torch.dtype = field(default=torch.uint8, init=False)

    @property
    def shape(self) -> torch.Size:
        """(N,3,H,W)."""
        return torch.Size((len(self.rows), 3, self.frame.height, self.frame.width))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: torch.Tensor | slice) -> torch.Tensor:
        rows = self.rows[index if isinstance(index, slice) else index.numpy()]
        return torch.from_numpy(self._decoded(rows)).permute(0, 3, 1, 2)

    def subset(self, index: torch.Tensor) -> Streamed | torch.Tensor:
        """Some of the rows; decoded where they are few."""
        part = replace(self, rows=self.rows[index.numpy()])
        return part if is_large(len(part), self.frame) else self[index].contiguous()

    def digest(self, labels: torch.Tensor, classes: Sequence[str]) -> str:
        """sha256 (hex) over the frame, the class names, the files of the pictures and the labels:
        every picture is read, none is decoded."""
        sha = hashlib.sha256(json.dumps([to_dict(self.frame), list(classes)]).encode())
        for row in self.rows.tolist():
            sha.update(hashlib.sha256(self.pictures.content(row)).digest())
        sha.update(labels.numpy().astype("<i8").data)
        return sha.hexdigest()

    def _decoded(self, rows: npt.NDArray[Any]) -> Pixels:
        """Images uint8 (n,H,W,3) of the pictures at ``rows``, in threads."""
        height, width = self.frame.height, self.frame.width
        out = np.empty((len(rows), height, width, 3), np.uint8)

        def fill(place: int) -> None:
            row = int(rows[place])
            pixels = self.pictures.pixels(row)
            if self.exact and pixels.shape[:2] != (height, width):
                raise DataError(
                    f"{self.pictures.name(row)} is {pixels.shape[1]}x{pixels.shape[0]} pixels, "
                    f"expected {width}x{height} as the others: {REPAIR}"
                )
            out[place] = framed(pixels, self.frame)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(fill, range(len(rows))):
                pass
        return out


def is_large(count: int, frame: FrameConfig) -> bool:
    """Whether so many images are decoded as they are asked for."""
    return 3 * count * frame.height * frame.width > LIMIT


def frame_of_all(pictures: Pictures) -> FrameConfig:
    """The frame of pictures that are all of one size, which is that of the first: others are
    refused when they are decoded."""
    height, width = pictures.pixels(0).shape[:2]
    return FrameConfig(height, width)

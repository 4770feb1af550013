"""Records made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from alp.evaluation.records import Record

IMAGES = 200


def _correct(share: float):
    return np.arange(IMAGES) < share * IMAGES


@pytest.fixture
def make_record():
    def make(name: str = "A-ALP + AT", *, clean=0.8, single=0.3, **header) -> Record:
        return Record(
            {
                "kind": "robustness",
                "name": name,
                "trial": 0,
                "draws": 20,
                "images": IMAGES,
                "data": {"name": "cifar10", "split": "test"},
                "data_digest": "d1" * 32,
                "threat": {"name": "linf", "eps": 8 / 255},
                "attack": {"name": "pgd", "steps": 7, "step_size": 2 / 255},
                "knowledge": {"single": "one draw"},
                "weights": {"model": "c1" * 32},
                "sigma": 0.2,
                "latency": {call: {"median_ms": 13.5} for call in ("draw", "predict")},
                "warnings": [],
                **header,
            },
            {
                "clean_correct": _correct(clean),
                "psnr": np.full(IMAGES, 25, np.float32),
                "ssim": np.full(IMAGES, 0.9, np.float32),
                "single_correct": _correct(single),
                "single_zero_gradient": _correct(0),
            },
        )

    return make

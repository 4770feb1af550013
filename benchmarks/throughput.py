"""Training throughput of alp's loop beside a plain PyTorch DataLoader loop: the same model, data,
optimiser, batch size and augmentation, alternating in one run. Prints images/s and their ratio.

    python benchmarks/throughput.py [--data cifar10] [--steps 40] [--rounds 3]
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import shutil
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

import alp
from alp.config import EngineConfig
from alp.data import Images
from alp.training.recipes import recipe


class Plain(Dataset[tuple[torch.Tensor, int]]):
    """One augmented image at a time, as a textbook writes it."""

    def __init__(self, images: Images) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        x = self.images.images[index].float() / 255
        if torch.rand(()) < 0.5:
            x = x.flip(-1)
        padded = F.pad(x[None], (4, 4, 4, 4), mode="reflect")[0]
        top, left = torch.randint(0, 9, (2,)).tolist()
        height, width = x.shape[-2:]
        return padded[:, top : top + height, left : left + width], int(self.images.labels[index])


def plain_loop(images: Images, stage: alp.ClassifierStage, steps: int, bfloat16: bool) -> float:
    """Images a second of the plain loop."""
    model = alp.ResNetLite(stage.classifier).train()
    optimizer = torch.optim.SGD(
        model.parameters(), lr=stage.optim.lr, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    size = stage.optim.batch_size
    start = time.perf_counter()
    for step, (x, y) in enumerate(DataLoader(Plain(images), size, shuffle=True, drop_last=True)):
        if step == steps:
            break
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = F.cross_entropy(model(x).float(), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return steps * size / (time.perf_counter() - start)


def alp_loop(images: Images, stage: alp.ClassifierStage, steps: int, precision: str) -> float:
    """Images a second of alp's loop, averaging of the weights included."""
    epochs = steps / (len(images) // stage.optim.batch_size)
    stage = replace(stage, optim=replace(stage.optim, epochs=epochs))
    folder = Path(tempfile.mkdtemp())
    try:
        engine = EngineConfig(accelerator="cpu", precision=precision)
        trained = alp.train(stage, folder, images, engine=engine)
    finally:
        shutil.rmtree(folder)
    return float(trained.record["images_per_second"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    images = alp.load_data(options.data, "train")
    stage = recipe("standard", "cpu").stage
    assert isinstance(stage, alp.ClassifierStage)
    for precision in ("32-true", "bf16-mixed"):
        pairs = []
        for _ in range(options.rounds):
            ours = alp_loop(images, stage, options.steps, precision)
            plain = plain_loop(images, stage, options.steps, precision == "bf16-mixed")
            pairs.append((ours, plain))
        ours, plain = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        print(f"{precision}: alp {ours:.0f} images/s, plain {plain:.0f}, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()

r"""The network of a diffusion model in real int8, beside its float versions.

    python benchmarks/int8.py --weights runs/diffpure/weights.safetensors [--images 32] [--rounds 5]

`alp quantise` simulates few bits in float, which says nothing of time. Here OpenVINO and ONNX
Runtime run the network, in float32, bfloat16 and int8 (static ranges by what the network sees of
training images over all steps of the chain; weights by channel, on 7 bits). All take turns in one
run on one thread: a step of the chain, and the whole purification of one image. Prints medians in
milliseconds, how many times as fast as the fastest float32 each is, the PSNR of validation images
after purification, and the root mean square difference to eager float32 on the same noise.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import alp
from alp import seeding
from alp.bench.run import Contestant, take_turns
from alp.data.quality import psnr
from alp.defences.chain import Chain
from alp.defences.packaged import load_kind
from alp.defences.quantise import IMAGES, recorded
from alp.deploy.backends import usable
from alp.deploy.engine import Floats
from alp.deploy.onnx_engine import open_session
from alp.deploy.onnx_models import predictor_model
from alp.deploy.openvino_engine import compiled
from alp.errors import AlpError

EAGER = ("float32", "bfloat16")
COMPILED = {"openvino": ("float32", "bfloat16", "int8"), "onnxruntime": ("float32", "int8")}
BATCH = 32
"""Images of a batch whose purification is compared."""

STEPS = 20
"""Rounds of single steps for each round of purifications."""

LONGEST = 600.0
"""Seconds that the calls of a version may take in all."""


Run = Callable[[Mapping[str, Any]], Floats]
"""Inputs by name to the output."""


def session(model: bytes, precision: str) -> Run:
    held = open_session(model, 1)
    return lambda inputs: held.run(None, inputs)[0]  # type: ignore[no-any-return]


RUNS: dict[str, Callable[[bytes, str], Run]] = {
    "openvino": lambda model, precision: compiled(model, 1, precision),
    "onnxruntime": session,
}
"""Backend to what runs a model on one thread."""


class Compiled(nn.Module):
    """A compiled network in the place of a diffusion model's own; it has no gradient."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def forward(self, z: Tensor, times: Tensor) -> Tensor:
        return torch.from_numpy(self.run({"z": z.float().numpy(), "times": times.numpy()}))


def versions_of(chain: Chain, training: Tensor) -> dict[str, Chain]:
    """The chain with its network in every way, by name; of ``training`` images the first ``IMAGES``
    set the ranges of int8."""
    network = chain.diffusion.network
    inputs = recorded(chain, {"network": network}, training[:IMAGES], 0)["network"]
    made = {}
    for precision in EAGER:
        made[f"eager {precision}"] = deepcopy(chain)
        made[f"eager {precision}"].precision = precision
    for backend, precisions in COMPILED.items():
        for precision in precisions:
            each = made[f"{backend} {precision}"] = deepcopy(chain)
            run = RUNS[backend](predictor_model(network, inputs, precision), precision)
            each.diffusion.network = Compiled(run)  # type: ignore[assignment]
            each.precision = "float32"
    return made


@torch.inference_mode()
def purified(chain: Chain, x: Tensor) -> Tensor:
    """One draw of purified images, on the same noise in every version."""
    batches = enumerate(torch.split(x, BATCH))
    draws = [chain.purify(each, seeding.generator(0, "int8", number)) for number, each in batches]
    return torch.cat(draws)


@torch.inference_mode()
def medians(
    versions: dict[str, Chain], call: Callable[[Chain, int], object], rounds: int
) -> dict[str, float]:
    """Name to the median milliseconds of a call, by turns."""

    def contestant(name: str, chain: Chain) -> Contestant:
        def once(number: int) -> float:
            call(chain, number)
            return 1.0

        return Contestant(name, once)

    found: dict[str, list[float]] = {}
    contestants = [contestant(name, chain) for name, chain in versions.items()]
    for timing in take_turns(contestants, rounds, LONGEST, 0):
        found.setdefault(timing.contestant, []).append(timing.ms)
    return {name: statistics.median(times) for name, times in found.items()}


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", required=True, type=Path, help="of DiffPure or GDMP")
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--images", type=int, default=32, help="validation images")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for backend in COMPILED:
        usable(backend, "int8")
    chain = load_kind(options.weights, Chain)  # type: ignore[type-abstract]
    training = alp.load_data(options.data, "train").take(IMAGES)
    validation = alp.load_data(options.data, "validation").take(options.images)
    x, _ = validation.batch(torch.arange(len(validation)))
    versions = versions_of(chain, training.batch(torch.arange(len(training)))[0])

    def image(number: int) -> Tensor:
        return x[number % len(x)][None]

    def step(each: Chain, number: int) -> None:
        each.moved(image(number), torch.zeros_like(x[:1]), each.time, each.time - 1)

    def purify(each: Chain, number: int) -> None:
        each.purify(image(number), seeding.generator(0, "int8 timed", number))

    times = {
        "step": medians(versions, step, STEPS * options.rounds),
        "purified": medians(versions, purify, options.rounds),
    }
    plain = purified(versions["eager float32"], x)
    found: dict[str, dict[str, float]] = {}
    for name, each in versions.items():
        images = purified(each, x)
        found[name] = {
            "psnr": float(psnr(x, images).mean()),
            "difference": float((images - plain).square().mean().sqrt()),
        }
        words = [f"{found[name]['psnr']:.2f} dB, difference {found[name]['difference']:.4f}"]
        for what, by in times.items():
            fastest = min(by[f"{kind} float32"] for kind in ("eager", *COMPILED))
            found[name] |= {what: by[name], f"{what}_faster": fastest / by[name]}
            words.append(f"{what} {by[name]:.2f} ms ({fastest / by[name]:.2f} times as fast)")
        print(f"{name:<18} {', '.join(words)}", flush=True)
    return found


if __name__ == "__main__":
    try:
        main()
    except AlpError as error:
        sys.exit(f"error: {error}")

"""Peers: other defences in front of the same classifier. Importing them imports no torch."""

from __future__ import annotations

from alp.bench.peers.base import Defence, Peer
from alp.bench.peers.diffpure import DiffPure
from alp.bench.peers.jpeg import JPEG
from alp.bench.peers.magnet import MagNet
from alp.bench.peers.median import MedianSmoothing
from alp.bench.peers.onestep import OneStep
from alp.bench.peers.smoothing import RandomisedSmoothing
from alp.bench.peers.unet import UNet

PEERS: dict[str, type[Peer]] = {
    "diffpure": DiffPure,
    "one-step": OneStep,
    "magnet": MagNet,
    "jpeg": JPEG,
    "median": MedianSmoothing,
    "smoothing": RandomisedSmoothing,
}
"""Name to peer, each with the settings of its paper by default."""

__all__ = [
    "JPEG",
    "PEERS",
    "Defence",
    "DiffPure",
    "MagNet",
    "MedianSmoothing",
    "OneStep",
    "Peer",
    "RandomisedSmoothing",
    "UNet",
]

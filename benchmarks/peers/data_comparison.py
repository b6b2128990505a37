# SPDX-License-Identifier: Apache-2.0
"""Times epochs of all data paths in turn, over the same files; and pixmim's stages and memory."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from peers import data_loaders
from peers.pixmim_data_path import Memory, PixmimDataPath, Stages

EPOCH_IMAGES, QUICK_EPOCH_IMAGES = 3200, 400
ROUNDS, QUICK_ROUNDS = 5, 1
MEMORY_IMAGES, QUICK_MEMORY_IMAGES = 100_000, 2000
DECODED = 200

PIXMIM_EXACT = "pixmim, exact"
PIXMIM_FAST = "pixmim, fast decoding"
PILLOW = "ImageFolder, Pillow, DataLoader"
TENSORS = "ImageFolder, decode_jpeg, v2, DataLoader"


@dataclass(frozen=True)
class DataPaths:
    """Images a second of each round; seconds an image of the stages."""

    workers: int
    photographs: int
    epoch_images: int
    rates: dict[str, list[float]]
    stages: dict[str, Stages]
    peers_decode: dict[str, float]
    memory: list[Memory]

    def rate(self, name: str) -> float:
        return statistics.median(self.rates[name])


def link(photographs: list[Path], folder: Path, count: int) -> None:
    """`count` files or a few more, in class folders: links to the photographs, again and again."""
    for copy in range(math.ceil(count / len(photographs))):
        classes = folder / f"class_{copy:04}"
        classes.mkdir()
        for path in photographs:
            (classes / path.name).symlink_to(path)


def time_epochs(epochs: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """The first epoch of each starts its workers and warms the page cache: it does not count."""
    for epoch in epochs.values():
        epoch()
    rates: dict[str, list[float]] = {name: [] for name in epochs}
    for index in range(rounds):
        for name, epoch in epochs.items():
            rates[name].append(epoch())
        print(f"epochs, round {index + 1} of {rounds}: "
              + ", ".join(f"{name} {values[-1]:.0f}/s" for name, values in rates.items()),
              flush=True)
    return rates


def time_all_epochs(exact: PixmimDataPath, fast: PixmimDataPath, folder: Path, workers: int,
                    rounds: int) -> tuple[dict[str, list[float]], int]:
    """Images a second, and the files of an epoch. The peers' workers end with this function."""
    pillow = data_loaders.pillow_loader(folder, workers)
    tensors = data_loaders.tensor_loader(folder, workers)
    rates = time_epochs({
        PIXMIM_EXACT: exact.images_a_second,
        PIXMIM_FAST: fast.images_a_second,
        PILLOW: lambda: data_loaders.images_a_second(pillow),
        TENSORS: lambda: data_loaders.images_a_second(tensors),
    }, rounds)
    return rates, data_loaders.number_of_files(pillow)


def time_decoding(photographs: list[Path]) -> dict[str, float]:
    """Seconds an image to read and decode it, in one thread."""
    torch.set_num_threads(1)
    some = [str(path) for path in photographs[:DECODED]]
    seconds = {}
    for name, decode in ((PILLOW, data_loaders.decode_by_pillow),
                         (TENSORS, data_loaders.decode_to_tensor)):
        start = time.perf_counter()
        for path in some:
            decode(path)
        seconds[name] = (time.perf_counter() - start) / len(some)
    return seconds


def compare(program: Path, folder: Path, workers: int, quick: bool) -> DataPaths:
    photographs = sorted(path.resolve() for path in folder.rglob("*")
                         if path.suffix.lower() in (".jpg", ".jpeg"))
    if not photographs:
        raise SystemExit(f"compare_crop.py: there is no JPEG below {folder}")
    with tempfile.TemporaryDirectory() as temporary:
        epoch_folder, memory_folder = Path(temporary) / "epoch", Path(temporary) / "memory"
        epoch_folder.mkdir()
        memory_folder.mkdir()
        link(photographs, epoch_folder, QUICK_EPOCH_IMAGES if quick else EPOCH_IMAGES)
        link(photographs, memory_folder, QUICK_MEMORY_IMAGES if quick else MEMORY_IMAGES)

        exact = PixmimDataPath(program, epoch_folder, workers, fast=False)
        fast = PixmimDataPath(program, epoch_folder, workers, fast=True)
        rates, epoch_images = time_all_epochs(exact, fast, epoch_folder, workers,
                                              QUICK_ROUNDS if quick else ROUNDS)
        stages = {PIXMIM_EXACT: exact.stages(), PIXMIM_FAST: fast.stages()}
        peers_decode = time_decoding(photographs)
        exact.close()
        fast.close()

        print(f"an epoch of {QUICK_MEMORY_IMAGES if quick else MEMORY_IMAGES} files for the "
              "resident memory", flush=True)
        many = PixmimDataPath(program, memory_folder, workers, fast=False)
        memory = many.memory()
        many.close()
    return DataPaths(workers, len(photographs), epoch_images, rates, stages, peers_decode, memory)

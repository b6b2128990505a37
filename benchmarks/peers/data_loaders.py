# SPDX-License-Identifier: Apache-2.0
"""PyTorch's DataLoader over torchvision's ImageFolder, as trainers set it up."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.io import ImageReadMode, decode_jpeg, read_file

from peers.crop_case import CropCase
from peers.torchvision_crop import pillow_pipeline, tensor_pipeline

BATCH = 64
CASE = CropCase(simple=True, label="photographs")


def decode_by_pillow(path: str) -> Image.Image:
    """ImageFolder's own loader."""
    with open(path, "rb") as file:
        return Image.open(file).convert("RGB")


def decode_to_tensor(path: str) -> torch.Tensor:
    return decode_jpeg(read_file(path), mode=ImageReadMode.RGB)


def loader(folder: Path, workers: int, decode: Callable[[str], Any],
           transform: Callable[[Any], torch.Tensor]) -> DataLoader[Any]:
    return DataLoader(ImageFolder(str(folder), transform, loader=decode), batch_size=BATCH,
                      shuffle=True, drop_last=True, num_workers=workers, persistent_workers=True)


def pillow_loader(folder: Path, workers: int) -> DataLoader[Any]:
    return loader(folder, workers, decode_by_pillow, pillow_pipeline(CASE))


def tensor_loader(folder: Path, workers: int) -> DataLoader[Any]:
    return loader(folder, workers, decode_to_tensor, tensor_pipeline(CASE))


def number_of_files(batches: DataLoader[Any]) -> int:
    dataset = batches.dataset
    assert isinstance(dataset, ImageFolder)
    return len(dataset)


def images_a_second(batches: DataLoader[Any]) -> float:
    """Of an epoch."""
    start = time.perf_counter()
    count = 0
    for images, _ in batches:
        count += len(images)
    return count / (time.perf_counter() - start)

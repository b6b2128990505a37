# SPDX-License-Identifier: Apache-2.0
"""What is cropped: the kind of crop, the values it gives, and the images."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from PIL import Image

SIZE = 224
PADDING = 4
SCALE = (0.2, 1.0)
RATIO = (3 / 4, 4 / 3)
FLIP = 0.5
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

Pixels = numpy.ndarray[Any, numpy.dtype[numpy.uint8]]


@dataclass(frozen=True)
class CropCase:
    """A line of the table. Images of one size have it as `label`."""

    simple: bool
    label: str
    output: str = "float32"

    @property
    def interpolation(self) -> str:
        """What people train with: torchvision's default, and MAE's."""
        return "bilinear" if self.simple else "bicubic"

    def __str__(self) -> str:
        crop = "SimpleResizedCrop" if self.simple else "RandomResizedCrop"
        return f"{crop}, {self.interpolation}, {self.label}, {self.output}"


def synthetic_images(height: int, width: int) -> list[Pixels]:
    """Smooth, with a little noise; together too large for the nearest caches."""
    random = numpy.random.default_rng(0)
    count = max(2, min(8, 12_000_000 // (3 * height * width)))
    images = []
    for _ in range(count):
        few = Image.fromarray(random.integers(10, 230, (12, 16, 3), dtype=numpy.uint8))
        smooth = numpy.asarray(few.resize((width, height), Image.Resampling.BILINEAR))
        images.append(smooth + random.integers(0, 16, smooth.shape, dtype=numpy.uint8))
    return images


def photographs(folder: Path, count: int) -> list[Pixels]:
    """Some of a folder, decoded, of whatever size they are."""
    paths = sorted(path for path in folder.rglob("*")
                   if path.suffix.lower() in (".jpg", ".jpeg"))
    images = []
    for path in paths[::max(1, len(paths) // count)][:count]:
        with Image.open(path) as image:
            images.append(numpy.asarray(image.convert("RGB")))
    return images


def write_images(path: Path, images: list[Pixels]) -> None:
    """As crop_rounds reads them."""
    with path.open("wb") as file:
        for image in images:
            file.write(struct.pack("=3q", *image.shape))
            file.write(numpy.ascontiguousarray(image).ravel().data)

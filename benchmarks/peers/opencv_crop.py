# SPDX-License-Identifier: Apache-2.0
"""The crops as people write them with OpenCV. Its resizes are not Pillow's: other pixels."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy
import torch

from peers.crop_case import FLIP, MEAN, PADDING, RATIO, SCALE, SIZE, STD, CropCase, Pixels
from peers.torchvision_crop import DTYPES


def pipeline(case: CropCase, antialias: bool) -> Callable[[Pixels], torch.Tensor]:
    """`antialias`: INTER_AREA; else the plain kernel, which skips pixels when it shrinks."""
    import cv2

    cv2.setNumThreads(1)
    plain = cv2.INTER_LINEAR if case.simple else cv2.INTER_CUBIC
    kernel = cv2.INTER_AREA if antialias else plain
    scale = [1 / (255 * std) for std in STD]
    shift = [-mean / std for mean, std in zip(MEAN, STD)]
    dtype = DTYPES[case.output]

    def simple(image: Pixels) -> Any:
        height, width = image.shape[:2]
        shorter = min(height, width)
        height, width = int(SIZE * height / shorter), int(SIZE * width / shorter)
        small = cv2.resize(image, (width, height), interpolation=kernel)
        padded = cv2.copyMakeBorder(small, *(PADDING,) * 4, cv2.BORDER_REFLECT_101)
        top = random.randint(0, height + 2 * PADDING - SIZE)
        left = random.randint(0, width + 2 * PADDING - SIZE)
        return padded[top:top + SIZE, left:left + SIZE]

    def resized(image: Pixels) -> Any:
        top, left, height, width = random_box(*image.shape[:2])
        return cv2.resize(image[top:top + height, left:left + width], (SIZE, SIZE),
                          interpolation=kernel)

    def values(pixels: Any) -> torch.Tensor:
        planes = cv2.split(pixels)
        if case.output == "uint8":
            return torch.from_numpy(numpy.stack(planes))
        result = numpy.empty((3, SIZE, SIZE), numpy.float32)
        for channel, plane in enumerate(planes):
            result[channel] = plane
            result[channel] *= scale[channel]
            result[channel] += shift[channel]
        return torch.from_numpy(result).to(dtype)

    crop = simple if case.simple else resized

    def call(image: Pixels) -> torch.Tensor:
        pixels = crop(image)
        return values(cv2.flip(pixels, 1) if random.random() < FLIP else pixels)

    return call


def random_box(height: int, width: int) -> tuple[int, int, int, int]:
    """RandomResizedCrop's box: top, left, height, width. The whole image after ten tries."""
    for _ in range(10):
        area = height * width * random.uniform(*SCALE)
        ratio = math.exp(random.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        box_width, box_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < box_width <= width and 0 < box_height <= height:
            return (random.randint(0, height - box_height), random.randint(0, width - box_width),
                    box_height, box_width)
    return 0, 0, height, width

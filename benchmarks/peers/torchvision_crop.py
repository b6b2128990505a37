# SPDX-License-Identifier: Apache-2.0
"""torchvision's transforms: on images of Pillow's, and its second version on tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torchvision import transforms
from torchvision.transforms import InterpolationMode, v2

from peers.crop_case import FLIP, MEAN, PADDING, RATIO, SCALE, SIZE, STD, CropCase

DTYPES = {"uint8": torch.uint8, "float32": torch.float32, "float16": torch.float16,
          "bfloat16": torch.bfloat16}


def geometry(case: CropCase, module: Any) -> list[Any]:
    """Resize, crop and flip; `module`: torchvision's transforms or transforms.v2."""
    mode = InterpolationMode(case.interpolation)
    if case.simple:
        crop = [module.Resize(SIZE, mode, antialias=True),
                module.RandomCrop(SIZE, padding=PADDING, padding_mode="reflect")]
    else:
        crop = [module.RandomResizedCrop(SIZE, scale=SCALE, ratio=RATIO, interpolation=mode,
                                         antialias=True)]
    return [*crop, module.RandomHorizontalFlip(FLIP)]


def pillow_values(case: CropCase) -> list[Any]:
    """From an image of Pillow's to the tensor."""
    if case.output == "uint8":
        return [transforms.PILToTensor()]
    values = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    if case.output != "float32":
        values.append(transforms.ConvertImageDtype(DTYPES[case.output]))
    return values


def pillow_pipeline(case: CropCase) -> Callable[[Any], torch.Tensor]:
    return transforms.Compose([*geometry(case, transforms), *pillow_values(case)])


def tensor_pipeline(case: CropCase) -> Callable[[torch.Tensor], torch.Tensor]:
    steps = geometry(case, v2)
    if case.output != "uint8":
        steps += [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    transform = v2.Compose(steps)
    dtype = DTYPES[case.output]
    return lambda image: transform(image).to(dtype).contiguous()

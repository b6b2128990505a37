# SPDX-License-Identifier: Apache-2.0
"""Times one case on all sides, in turn and in one thread; first checks that pixmim is Pillow's."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import torch
from PIL import Image
from torchvision import transforms

from peers import opencv_crop
from peers.crop_case import PADDING, SIZE, CropCase, Pixels, photographs, synthetic_images
from peers.crop_case import write_images
from peers.pixmim_crop import NotOffered, PixmimCrop
from peers.torchvision_crop import DTYPES, pillow_pipeline, pillow_values, tensor_pipeline
from rounds import Effort, Timer, take_turns

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "crop"))
import against_pillow  # noqa: E402

SIZES = ((375, 500), (768, 1024), (2000, 3000), (32, 32))
USUAL_SIZE_LABEL = "375x500"
NARROW_OUTPUTS = ("uint8", "float16", "bfloat16")
PHOTOGRAPHS_IN_A_CASE = 64
IMAGES_CHECKED = 4

PIXMIM = "pixmim"
PILLOW = "Pillow"
TENSORS_AS_DECODED = "v2 on tensors, strided as decoded"
TENSORS_CONTIGUOUS = "v2 on tensors, contiguous"
OPENCV_AREA = "OpenCV INTER_AREA"
OPENCV_PLAIN = "OpenCV, no antialiasing"


@dataclass(frozen=True)
class CropTimes:
    """Seconds an image of each side that took part."""

    case: CropCase
    seconds: dict[str, float]

    def best(self, *names: str) -> Optional[float]:
        """The fastest of some sides."""
        return min((self.seconds[name] for name in names if name in self.seconds), default=None)


def cases(folder: Optional[Path]) -> list[CropCase]:
    labels = [f"{height}x{width}" for height, width in SIZES]
    if folder is not None:
        labels.insert(1, "photographs")
    kinds = (True, False)
    return [*(CropCase(simple, label) for simple in kinds for label in labels),
            *(CropCase(simple, USUAL_SIZE_LABEL, output)
              for simple in kinds for output in NARROW_OUTPUTS)]


def images_of(case: CropCase, folder: Optional[Path]) -> list[Pixels]:
    if case.label == "photographs":
        assert folder is not None
        return photographs(folder, PHOTOGRAPHS_IN_A_CASE)
    height, width = map(int, case.label.split("x"))
    return synthetic_images(height, width)


def in_turn(call: Callable[[Any], Any], images: Sequence[Any]) -> Timer:
    """Times calls on one image after the other."""

    def timer(calls: int) -> float:
        start = time.perf_counter()
        for index in range(calls):
            call(images[index % len(images)])
        return time.perf_counter() - start

    return timer


def peers(case: CropCase, images: list[Pixels]) -> dict[str, Timer]:
    as_decoded = [torch.tensor(image).permute(2, 0, 1) for image in images]
    contiguous = [image.contiguous() for image in as_decoded]
    timers = {
        PILLOW: in_turn(pillow_pipeline(case), [Image.fromarray(image) for image in images]),
        TENSORS_AS_DECODED: in_turn(tensor_pipeline(case), as_decoded),
        TENSORS_CONTIGUOUS: in_turn(tensor_pipeline(case), contiguous),
    }
    if importlib.util.find_spec("cv2") is not None:
        timers[OPENCV_AREA] = in_turn(opencv_crop.pipeline(case, antialias=True), images)
        timers[OPENCV_PLAIN] = in_turn(opencv_crop.pipeline(case, antialias=False), images)
    return timers


def check(pixmim: PixmimCrop, case: CropCase, images: list[Pixels]) -> None:
    """Throws unless crops of pixmim's are those of torchvision on Pillow."""
    operations = against_pillow.Torchvision()
    to_values = transforms.Compose(pillow_values(case))
    interpolation = (against_pillow.BILINEAR if case.interpolation == "bilinear"
                     else against_pillow.BICUBIC)
    dtype = DTYPES[case.output]
    # A narrow float may be rounded once where theirs is rounded in float32 before.
    tolerance = 0.0 if dtype == torch.uint8 else 4 * torch.finfo(dtype).eps
    for index, image in enumerate(images[:IMAGES_CHECKED]):
        shown = pixmim.show(index)
        window = against_pillow.Window(shown.top, shown.left, shown.flip, shown.height,
                                       shown.width)
        kind = (against_pillow.SIMPLE_RESIZED_CROP if case.simple
                else against_pillow.RANDOM_RESIZED_CROP)
        crop = against_pillow.Crop(kind, SIZE, PADDING, interpolation, window)
        expected = to_values(against_pillow.expected_image(Image.fromarray(image), crop,
                                                           operations))
        difference = (shown.values.double() - expected.double()).abs().max().item()
        if difference > tolerance:
            raise SystemExit(f"{case}: pixmim and Pillow differ by up to {difference}")


def compare(program: Path, case: CropCase, folder: Optional[Path],
            effort: Effort) -> Optional[tuple[CropTimes, str]]:
    """The times, and which LibTorch pixmim ran on; None where pixmim has no such crop."""
    torch.set_num_threads(1)
    images = images_of(case, folder)
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "images"
        write_images(file, images)
        try:
            pixmim = PixmimCrop(program, case, file)
        except NotOffered as reason:
            print(f"{case}: left out ({reason})", flush=True)
            return None
    check(pixmim, case, images)
    timers: dict[str, Timer] = {PIXMIM: pixmim.seconds, **peers(case, images)}
    seconds = take_turns(list(timers.values()), effort)
    pixmim.close()
    return CropTimes(case, dict(zip(timers, seconds))), pixmim.library

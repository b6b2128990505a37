# SPDX-License-Identifier: Apache-2.0
"""Compares the crops with Pillow and torchvision, pixel by pixel: any difference is a failure.

    build/pillow/bin/python tests/crop/against_pillow.py               # random sizes and windows
    build/pillow/bin/python tests/crop/against_pillow.py --photographs FOLDER

Needs Pillow and numpy. torchvision's own operations give the expected pixels where it is
installed; else its rules are written out here. The crops come from build/tests/crop_pixels.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Protocol

import numpy
import PIL
from PIL import Image

BILINEAR, BICUBIC = 0, 1
PILLOW_FILTER = {BILINEAR: Image.Resampling.BILINEAR, BICUBIC: Image.Resampling.BICUBIC}
INTERPOLATION_NAME = {BILINEAR: "bilinear", BICUBIC: "bicubic"}
PILLOW_13, HORIZONTAL_FIRST = 0, 1
PILLOW_VERSION = tuple(int(part) for part in PIL.__version__.split(".")[:2])
OWN_ORDER = PILLOW_13 if PILLOW_VERSION >= (13, 0) else HORIZONTAL_FIRST
SIMPLE_RESIZED_CROP, RANDOM_RESIZED_CROP = 0, 1
LAYOUTS = ("rows", "planes", "columns", "part of a larger image", "channels first")

LARGEST_SIDE = 2000
USUAL_SIZE = 224
USUAL_PADDING = 4
# Pillow resizes the whole image before the crop: a thin one becomes larger than any photograph.
MOST_RESIZED_PIXELS = 110_000_000
WINDOWS_OF_A_PHOTOGRAPH = 5

Pixels = numpy.ndarray[Any, numpy.dtype[numpy.uint8]]


@dataclass(frozen=True)
class Window:
    """pixmim::CropWindow."""

    top: int
    left: int
    flip: bool
    height: int = 0
    width: int = 0


@dataclass(frozen=True)
class Crop:
    """A crop of an image; the padding is SimpleResizedCrop's alone."""

    kind: int
    size: int
    padding: int
    interpolation: int
    window: Window
    pass_order: int = OWN_ORDER

    def __str__(self) -> str:
        name = INTERPOLATION_NAME[self.interpolation]
        if self.pass_order != OWN_ORDER:
            name += ", horizontal first"
        if self.kind == SIMPLE_RESIZED_CROP:
            return f"SimpleResizedCrop({self.size}), padding {self.padding}, {name}, {self.window}"
        return f"RandomResizedCrop({self.size}), {name}, {self.window}"


# --- What is expected ---------------------------------------------------------------------------


def resized_size(height: int, width: int, size: int) -> tuple[int, int]:
    """torchvision's Resize(size): the longer side in double, truncated."""
    if height <= width:
        return size, int(size * width / height)
    return int(size * height / width), size


class Operations(Protocol):
    """The steps of both transforms on an image of Pillow's."""

    name: str

    def resize(self, image: Image.Image, height: int, width: int,
               interpolation: int) -> Image.Image: ...

    def resize_shorter_side(self, image: Image.Image, size: int,
                            interpolation: int) -> Image.Image: ...

    def pad(self, image: Image.Image, padding: int) -> Image.Image: ...

    def crop(self, image: Image.Image, top: int, left: int, height: int,
             width: int) -> Image.Image: ...

    def flip(self, image: Image.Image) -> Image.Image: ...


class WrittenOut:
    """torchvision's rules on Pillow and numpy."""

    name = "Pillow and numpy"

    def resize(self, image: Image.Image, height: int, width: int,
               interpolation: int) -> Image.Image:
        return image.resize((width, height), PILLOW_FILTER[interpolation])

    def resize_shorter_side(self, image: Image.Image, size: int,
                            interpolation: int) -> Image.Image:
        return self.resize(image, *resized_size(image.height, image.width, size), interpolation)

    def pad(self, image: Image.Image, padding: int) -> Image.Image:
        pixels = numpy.asarray(image)
        sides = [(padding, padding)] * 2 + [(0, 0)] * (pixels.ndim - 2)
        return Image.fromarray(numpy.pad(pixels, sides, mode="reflect"))

    def crop(self, image: Image.Image, top: int, left: int, height: int,
             width: int) -> Image.Image:
        return image.crop((left, top, left + width, top + height))

    def flip(self, image: Image.Image) -> Image.Image:
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


class Torchvision:
    """torchvision's own functions."""

    def __init__(self) -> None:
        import torchvision
        from torchvision.transforms import functional

        self.name = f"torchvision {torchvision.__version__}"
        self._functional = functional
        self._modes = {BILINEAR: functional.InterpolationMode.BILINEAR,
                       BICUBIC: functional.InterpolationMode.BICUBIC}

    def resize(self, image: Image.Image, height: int, width: int,
               interpolation: int) -> Image.Image:
        return self._functional.resize(image, [height, width], self._modes[interpolation])

    def resize_shorter_side(self, image: Image.Image, size: int,
                            interpolation: int) -> Image.Image:
        return self._functional.resize(image, [size], self._modes[interpolation])

    def pad(self, image: Image.Image, padding: int) -> Image.Image:
        return self._functional.pad(image, [padding], padding_mode="reflect")

    def crop(self, image: Image.Image, top: int, left: int, height: int,
             width: int) -> Image.Image:
        return self._functional.crop(image, top, left, height, width)

    def flip(self, image: Image.Image) -> Image.Image:
        return self._functional.hflip(image)


def horizontal_first(image: Image.Image, height: int, width: int, interpolation: int,
                     operations: Operations) -> Image.Image:
    """The order of older Pillows, from any: a pass whose size does not change is left out."""
    rows = operations.resize(image, image.height, width, interpolation)
    return operations.resize(rows, height, width, interpolation)


def resized_image(image: Image.Image, crop: Crop, operations: Operations) -> Image.Image:
    if crop.kind == RANDOM_RESIZED_CROP:
        height = width = crop.size
    else:
        height, width = resized_size(image.height, image.width, crop.size)
    if crop.pass_order != OWN_ORDER:
        return horizontal_first(image, height, width, crop.interpolation, operations)
    if crop.kind == RANDOM_RESIZED_CROP:
        return operations.resize(image, height, width, crop.interpolation)
    return operations.resize_shorter_side(image, crop.size, crop.interpolation)


def expected_image(image: Image.Image, crop: Crop, operations: Operations) -> Image.Image:
    """The crop of an image of Pillow's."""
    window = crop.window
    if crop.kind == SIMPLE_RESIZED_CROP:
        small = resized_image(image, crop, operations)
        if crop.padding > 0:
            small = operations.pad(small, crop.padding)
        result = operations.crop(small, window.top, window.left, crop.size, crop.size)
    else:
        box = operations.crop(image, window.top, window.left, window.height, window.width)
        result = resized_image(box, crop, operations)
    return operations.flip(result) if window.flip else result


def pillow_images(pixels: Pixels) -> list[Image.Image]:
    """RGB or grey as one image; any other number of channels as that many grey ones."""
    channels = pixels.shape[2]
    if channels == 3:
        return [Image.fromarray(pixels)]
    return [Image.fromarray(numpy.ascontiguousarray(pixels[:, :, channel]))
            for channel in range(channels)]


def expected_pixels(images: list[Image.Image], crop: Crop, operations: Operations) -> Pixels:
    """[C,size,size], as the library has it."""
    results = [numpy.asarray(expected_image(image, crop, operations)) for image in images]
    if results[0].ndim == 3:
        return results[0].transpose(2, 0, 1)
    return numpy.stack(results)


# --- What the library gives ---------------------------------------------------------------------


class CropPixels:
    """The running program crop_pixels."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen([str(program)], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE)

    def ask(self, pixels: Pixels, layout: int, crops: list[Crop]) -> None:
        """Starts the crops of an image; answers() waits for them."""
        stream = self._process.stdin
        assert stream is not None
        try:
            stream.write(struct.pack("=5q", *pixels.shape, layout, len(crops)))
            stream.write(numpy.ascontiguousarray(pixels).ravel().data)
            for crop in crops:
                window = crop.window
                stream.write(struct.pack("=10q", crop.kind, crop.size, crop.padding,
                                         crop.interpolation, crop.pass_order, window.top,
                                         window.left, window.height, window.width, window.flip))
            stream.flush()
        except BrokenPipeError:
            self._fail()

    def answers(self, channels: int, crops: list[Crop]) -> Iterator[Pixels]:
        stream = self._process.stdout
        assert stream is not None
        for crop in crops:
            count = channels * crop.size**2
            answer = stream.read(count)
            if len(answer) != count:
                self._fail()
            yield numpy.frombuffer(answer, numpy.uint8).reshape(channels, crop.size, crop.size)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        if self._process.wait() != 0:
            self._fail()

    def _fail(self) -> None:
        raise SystemExit(f"against_pillow.py: crop_pixels ended with {self._process.wait()}")


# --- Random images and windows ------------------------------------------------------------------


class Draws:
    """Everything random; a seed gives the same images and windows again."""

    def __init__(self, seed: int) -> None:
        self._random = numpy.random.default_rng(seed)

    def integer(self, first: int, last: int) -> int:
        """Uniform, both ends included."""
        return int(self._random.integers(first, last + 1))

    def happens(self, probability: float) -> bool:
        return bool(self._random.random() < probability)

    def one_of(self, values: tuple[Any, ...]) -> Any:
        return values[self.integer(0, len(values) - 1)]

    def image_size(self) -> tuple[int, int]:
        """Height and width: any, and more often than by chance the ones where rules change."""
        sides = [self.integer(1, LARGEST_SIDE), self.integer(1, LARGEST_SIDE)]
        kind = self.integer(0, 9)
        if kind == 0:  # no pixel between the edges
            sides[0] = self.one_of((1, 1, 2, 3))
        elif kind == 1:  # long and thin, around the point where Pillow's passes change their order
            sides[1] = max(1, sides[0] // self.integer(2, 120))
        elif kind == 2:  # a side or both need no resize
            sides[0] = USUAL_SIZE
            sides[1] = self.one_of((USUAL_SIZE, USUAL_SIZE - 1, USUAL_SIZE + 1, sides[1]))
        elif kind == 3:  # to be enlarged
            sides = [self.integer(1, USUAL_SIZE), self.integer(1, USUAL_SIZE)]
        elif kind == 4:  # a photograph
            sides = list(self.one_of(((375, 500), (333, 500), (500, 500), (768, 1024))))
        if self.happens(0.5):
            sides.reverse()
        return sides[0], sides[1]

    def crop_size(self, height: int, width: int) -> int:
        kind = self.integer(0, 9)
        size = USUAL_SIZE
        if kind < 2:
            size = self.one_of((1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 96, 97, 192, 384))
        elif kind == 2:
            size = self.integer(1, 300)
        elif kind == 3:
            size = min(height, width, 512)
        shorter, longer = sorted((height, width))
        return max(1, min(size, math.isqrt(MOST_RESIZED_PIXELS * shorter // longer)))

    def padding(self, size: int) -> int:
        if self.happens(0.7):
            return USUAL_PADDING
        return self.one_of((0, 1, 2, 3, 5, 8, 16, size - 1, size, min(2 * size + 1, 100)))

    def position(self, last: int) -> int:
        """0..last, the ends more often than by chance."""
        return self.one_of((0, last)) if self.happens(0.3) else self.integer(0, last)

    def length(self, longest: int) -> int:
        """1..longest, the ends more often than by chance."""
        return self.one_of((1, longest)) if self.happens(0.3) else self.integer(1, longest)

    def pass_order(self) -> int:
        return HORIZONTAL_FIRST if self.happens(0.25) else OWN_ORDER

    def simple_resized_crop(self, height: int, width: int, size: int, padding: int,
                            interpolation: int) -> Crop:
        resized = resized_size(height, width, size)
        top, left = (self.position(side + 2 * padding - size) for side in resized)
        return Crop(SIMPLE_RESIZED_CROP, size, padding, interpolation,
                    Window(top, left, self.happens(0.5)), self.pass_order())

    def random_resized_crop(self, height: int, width: int, size: int,
                            interpolation: int) -> Crop:
        box_height, box_width = self.length(height), self.length(width)
        if self.happens(0.1):  # a pass or both need no resize
            box_height = min(size, height)
        if self.happens(0.1):
            box_width = min(size, width)
        top, left = self.position(height - box_height), self.position(width - box_width)
        return Crop(RANDOM_RESIZED_CROP, size, 0, interpolation,
                    Window(top, left, self.happens(0.5), box_height, box_width),
                    self.pass_order())

    def crops(self, height: int, width: int) -> list[Crop]:
        """One of each kind and interpolation."""
        size = self.crop_size(height, width)
        return [crop for interpolation in (BILINEAR, BICUBIC) for crop in (
            self.simple_resized_crop(height, width, size, self.padding(size), interpolation),
            self.random_resized_crop(height, width, size, interpolation))]

    def channels(self) -> int:
        """Pillow's own 3 and 1, and now and then a number that it has no image of."""
        return self.one_of((3,) * 12 + (1,) * 5 + (2, 4, 5))

    def pixels(self, height: int, width: int, channels: int) -> Pixels:
        """Noise; smooth, with a little noise; or nothing but 0 and 255, fine or in blocks."""
        shape = (height, width, channels)
        content = self.one_of(("noise", "smooth", "extremes", "blocks"))
        if content == "noise":
            return self._random.integers(0, 256, shape, dtype=numpy.uint8)
        if content == "extremes":
            return self._random.integers(0, 2, shape, dtype=numpy.uint8) * numpy.uint8(255)
        # A few pixels become the whole image.
        few = tuple(min(side, self.integer(2, 24)) for side in (height, width))
        if content == "blocks":
            small = self._random.integers(0, 2, (*few, channels), dtype=numpy.uint8)
            rows = numpy.arange(height) * few[0] // height
            columns = numpy.arange(width) * few[1] // width
            return small[rows][:, columns] * numpy.uint8(255)
        small = self._random.integers(0, 256, (*few, channels), dtype=numpy.uint8)
        enlarged = [Image.fromarray(numpy.ascontiguousarray(small[:, :, channel]))
                    .resize((width, height), Image.Resampling.BICUBIC)
                    for channel in range(channels)]
        smooth = numpy.stack([numpy.asarray(image) for image in enlarged], axis=2)
        # Wraps at 0 and 255: hard edges in a smooth surface.
        return smooth + self._random.integers(0, 4, shape, dtype=numpy.uint8)


# --- The comparison -----------------------------------------------------------------------------


@dataclass
class Tally:
    """What was compared, and what differed."""

    images: int = 0
    crops: int = 0
    pixels: int = 0
    differing: int = 0
    failures: int = 0

    def add(self, name: str, layout: int, crop: Crop, ours: Pixels, expected: Pixels) -> None:
        self.crops += 1
        self.pixels += expected.size
        if ours.shape == expected.shape and numpy.array_equal(ours, expected):
            return
        self.failures += 1
        if ours.shape != expected.shape:
            self.differing += expected.size
            print(f"{name}: {crop}: the shape is {ours.shape}, expected {expected.shape}")
            return
        apart = numpy.abs(ours.astype(int) - expected.astype(int))
        self.differing += int(numpy.count_nonzero(apart))
        if self.failures <= 20:
            print(f"{name}, {LAYOUTS[layout]}: {crop}: {numpy.count_nonzero(apart)} of "
                  f"{apart.size} values differ, by up to {apart.max()}")


def compare(program: CropPixels, operations: Operations, tally: Tally, name: str, pixels: Pixels,
            layout: int, crops: list[Crop]) -> None:
    """Compares some crops of an image; Pillow and the program work at the same time."""
    program.ask(pixels, layout, crops)
    images = pillow_images(pixels)
    expected = [expected_pixels(images, crop, operations) for crop in crops]
    for crop, ours, theirs in zip(crops, program.answers(pixels.shape[2], crops), expected):
        tally.add(name, layout, crop, ours, theirs)
    tally.images += 1


def passes_are_known(height: int, width: int, crop: Crop) -> bool:
    """Pillow 12.3 turns the passes around for images over a hundred times taller than wide."""
    if OWN_ORDER == PILLOW_13:
        return True
    if crop.kind == RANDOM_RESIZED_CROP:
        height, width = crop.window.height, crop.window.width
    return height <= 100 * width


def compare_random(program: CropPixels, operations: Operations, tally: Tally, count: int,
                   seed: int) -> None:
    draws = Draws(seed)
    last_report = time.monotonic()
    for index in range(count):
        height, width = draws.image_size()
        channels = draws.channels()
        crops = [crop for crop in draws.crops(height, width)
                 if passes_are_known(height, width, crop)]
        layout = draws.integer(0, len(LAYOUTS) - 1) if draws.happens(0.3) else 0
        pixels = draws.pixels(height, width, channels)
        compare(program, operations, tally, f"image {index}, {height}x{width}x{channels}", pixels,
                layout, crops)
        if time.monotonic() - last_report > 30:
            last_report = time.monotonic()
            print(f"{index + 1} of {count} images, {tally.differing} pixels differ", flush=True)


def photograph_pixels(path: Path) -> Pixels:
    with Image.open(path) as image:
        return numpy.asarray(image.convert("RGB"))


def compare_photographs(program: CropPixels, operations: Operations, tally: Tally, folder: Path,
                        seed: int) -> None:
    """Every photograph x random windows x kinds x interpolations."""
    draws = Draws(seed)
    endings = {".jpg", ".jpeg", ".png"}
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in endings)
    if not paths:
        raise SystemExit(f"against_pillow.py: there is no photograph below {folder}")
    for path in paths:
        pixels = photograph_pixels(path)
        height, width = pixels.shape[:2]
        crops = []
        for interpolation in (BILINEAR, BICUBIC):
            for _ in range(WINDOWS_OF_A_PHOTOGRAPH):
                crops += [draws.simple_resized_crop(height, width, USUAL_SIZE, USUAL_PADDING,
                                                    interpolation),
                          draws.random_resized_crop(height, width, USUAL_SIZE, interpolation)]
        compare(program, operations, tally, path.name, pixels, 0, crops)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Compares the crops with Pillow and torchvision, pixel by pixel.")
    parser.add_argument("--program", type=Path, default=Path("build/tests/crop_pixels"),
                        help="the built program (default: %(default)s)")
    parser.add_argument("--count", type=int, default=5000,
                        help="random images, four crops each (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--photographs", type=Path, metavar="FOLDER",
                        help="compare crops of the photographs below it instead: of each, "
                             f"{WINDOWS_OF_A_PHOTOGRAPH} windows of each kind and interpolation")
    parser.add_argument("--written-out", action="store_true",
                        help="torchvision's rules as they stand here, even if it is installed")
    return parser.parse_args()


def choose_operations(written_out: bool) -> Operations:
    if not written_out and importlib.util.find_spec("torchvision") is not None:
        return Torchvision()
    return WrittenOut()


def main() -> int:
    arguments = parse_arguments()
    if not arguments.program.is_file():
        raise SystemExit(f"against_pillow.py: {arguments.program} is not built")
    operations = choose_operations(arguments.written_out)
    print(f"the crops against {operations.name} on Pillow {PIL.__version__}", flush=True)
    Image.MAX_IMAGE_PIXELS = None
    program = CropPixels(arguments.program)
    tally = Tally()
    start = time.monotonic()
    folder: Optional[Path] = arguments.photographs
    if folder is not None:
        compare_photographs(program, operations, tally, folder, arguments.seed)
    else:
        compare_random(program, operations, tally, arguments.count, arguments.seed)
    program.close()
    print(f"{tally.images} images, {tally.crops} crops, {tally.pixels} values: "
          f"{tally.differing} differ, in {tally.failures} crops "
          f"({time.monotonic() - start:.0f} s)")
    return 0 if tally.differing == 0 else 1


if __name__ == "__main__":
    sys.exit(main())

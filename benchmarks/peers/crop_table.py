# SPDX-License-Identifier: Apache-2.0
"""The page with the tables."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterable
from typing import Optional

import torch

from figures import commit, number, ratio, table_row, threads_text
from peers import crop_comparison as crop
from peers import data_comparison as data
from peers.crop_comparison import CropTimes
from peers.data_comparison import DataPaths

# Heading of a column, and the sides of which the fastest is meant.
RIVALS = (
    ("Pillow", (crop.PILLOW,)),
    ("v2 on tensors", (crop.TENSORS_AS_DECODED, crop.TENSORS_CONTIGUOUS)),
    ("OpenCV, `INTER_AREA`", (crop.OPENCV_AREA,)),
    ("OpenCV, no antialiasing", (crop.OPENCV_PLAIN,)),
)
PACKAGES = (("torchvision", "torchvision"), ("Pillow", "pillow"),
            ("OpenCV", "opencv-python-headless"))


def microseconds(seconds: Optional[float]) -> str:
    return number(None if seconds is None else seconds * 1e6)


def quotient(theirs: Optional[float], ours: float) -> str:
    return ratio(None if theirs is None else theirs / ours)


def progress(times: CropTimes) -> str:
    sides = ", ".join(f"{name} {microseconds(seconds)}" for name, seconds in times.seconds.items())
    return f"{times.case}: {sides} us"


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def table(headings: list[str], rows: Iterable[list[str]], texts: int = 1) -> list[str]:
    """The first `texts` columns are words, the rest numbers."""
    alignment = "|" + "---|" * texts + "--:|" * (len(headings) - texts)
    return [table_row(headings), alignment, *map(table_row, rows), ""]


def heading(libraries: list[str], quick: bool) -> list[str]:
    packages = ", ".join(f"{name} {version(package)}" for name, package in PACKAGES)
    return [
        "# The crops and the data path beside their peers",
        "",
        "Written by `benchmarks/compare_crop.py`. A ratio above 1x: pixmim is faster.",
        "",
        f"- Machine: {os.cpu_count()} CPUs, {torch.backends.cpu.get_cpu_capability()}",
        f"- pixmim at commit {commit()} with {', '.join(libraries) or 'LibTorch'}; "
        f"torch {torch.__version__}, {packages}",
        *(["- **One short pass (--quick): no figures to quote.**"] if quick else []),
        "",
    ]


def crop_lines(crops: list[CropTimes]) -> list[str]:
    def row(times: CropTimes) -> list[str]:
        case, ours = times.case, times.seconds[crop.PIXMIM]
        theirs = [times.best(*sides) for _, sides in RIVALS]
        return [f"{'Simple' if case.simple else 'Random'}ResizedCrop", case.label, case.output,
                *(quotient(seconds, ours) for seconds in theirs),
                microseconds(ours), *map(microseconds, theirs)]

    rivals = [name for name, _ in RIVALS]
    return [
        f"## From decoded uint8 pixels to [3,{crop.SIZE},{crop.SIZE}], one thread",
        "",
        "SimpleResizedCrop is bilinear, RandomResizedCrop bicubic with scale 0.2 to 1; every call "
        "draws its window. Floats",
        "are normalised. pixmim and Pillow give the same pixels, checked before each case; v2 on "
        "tensors is within a level or",
        "two of them, OpenCV is not: `INTER_AREA` averages boxes, and its other kernels skip "
        "pixels when they shrink.",
        "",
        *table(["crop", "image", "output", *(f"to {name}" for name in rivals), "pixmim, us",
                *(f"{name}, us" for name in rivals)], map(row, crops), texts=3),
    ]


def epoch_lines(paths: DataPaths) -> list[str]:
    exact, fast = paths.rate(data.PIXMIM_EXACT), paths.rate(data.PIXMIM_FAST)

    def row(name: str) -> list[str]:
        rates, rate = paths.rates[name], paths.rate(name)
        return [name, ratio(exact / rate), ratio(fast / rate), number(rate),
                f"{min(rates):.0f} to {max(rates):.0f}"]

    return [
        f"## From JPEG files to batches of 64, {paths.workers} workers",
        "",
        f"{paths.epoch_images} files, links to {paths.photographs} photographs, in the page "
        f"cache; float32, SimpleResizedCrop; the median",
        f"of {len(next(iter(paths.rates.values())))} epochs of each, in turn.",
        "",
        *table(["data path", "pixmim exact is faster by", "pixmim fast decoding is faster by",
                "images/s", "range"], map(row, paths.rates)),
    ]


def stage_lines(paths: DataPaths) -> list[str]:
    ours = [[name, microseconds(stages.read), microseconds(stages.decode),
             microseconds(stages.read + stages.decode), microseconds(stages.crop)]
            for name, stages in paths.stages.items()]
    theirs = [[name, number(None), number(None), microseconds(seconds), number(None)]
              for name, seconds in paths.peers_decode.items()]
    return [
        f"Where the time goes, microseconds an image in {threads_text(1)}:",
        "",
        *table(["data path", "read", "decode", "read and decode", "crop"], [*ours, *theirs]),
    ]


def memory_lines(paths: DataPaths) -> list[str]:
    rows = [[str(sample.images), f"{sample.resident:.0f}", f"{sample.highest:.0f}"]
            for sample in paths.memory]
    return [
        "Memory of pixmim's process in one epoch, MiB:",
        "",
        *table(["images", "resident", "highest so far"], rows, texts=0),
    ]


def page(crops: list[CropTimes], paths: Optional[DataPaths], libraries: list[str],
         quick: bool) -> str:
    lines = heading(libraries, quick)
    if crops:
        lines += crop_lines(crops)
    if paths is not None:
        lines += [*epoch_lines(paths), *stage_lines(paths), *memory_lines(paths)]
    return "\n".join(lines)

# SPDX-License-Identifier: Apache-2.0
"""The running program crop_rounds: pixmim's crop, a round at a time."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import torch

from peers.crop_case import SIZE, CropCase
from peers.torchvision_crop import DTYPES


class NotOffered(Exception):
    """Why pixmim has no such crop."""


@dataclass(frozen=True)
class Shown:
    """A crop, and where it was made."""

    top: int
    left: int
    height: int
    width: int
    flip: bool
    values: torch.Tensor


class PixmimCrop:
    """pixmim's side of a case."""

    def __init__(self, program: Path, case: CropCase, images: Path) -> None:
        self._dtype = DTYPES[case.output]
        self._process = subprocess.Popen(
            [str(program), "simple" if case.simple else "random", str(SIZE), case.interpolation,
             case.output, str(images)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.library = self._line()
        # An output that is not offered ends the program with its first order.
        self.seconds(1)

    def seconds(self, calls: int) -> float:
        self._order(f"time {calls}")
        return float(self._line())

    def show(self, image: int) -> Shown:
        self._order(f"show {image}")
        top, left, height, width, flip, count = map(int, self._line().split())
        assert self._process.stdout is not None
        content = bytearray(self._process.stdout.read(count))
        values = torch.frombuffer(content, dtype=self._dtype).view(-1, SIZE, SIZE)
        return Shown(top, left, height, width, flip != 0, values)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _order(self, order: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{order}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the answer that does not come tells

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode().strip()
        if not line:
            raise NotOffered(f"crop_rounds ended with {self._process.wait()}")
        return line

# SPDX-License-Identifier: Apache-2.0
"""The running program crop_rounds: pixmim's crop, a round at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from peers.crop_case import SIZE, CropCase
from peers.program import Ended, Program
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
        self._program = Program(program, "simple" if case.simple else "random", SIZE,
                                case.interpolation, case.output, images)
        self.library = self._line()
        self.close = self._program.close
        # An output that is not offered ends the program with its first order.
        self.seconds(1)

    def seconds(self, calls: int) -> float:
        self._program.order(f"time {calls}")
        return float(self._line())

    def show(self, image: int) -> Shown:
        self._program.order(f"show {image}")
        top, left, height, width, flip, count = map(int, self._line().split())
        values = torch.frombuffer(self._program.bytes(count), dtype=self._dtype).view(-1, SIZE, SIZE)
        return Shown(top, left, height, width, flip != 0, values)

    def _line(self) -> str:
        try:
            return self._program.line()
        except Ended as ended:
            raise NotOffered(str(ended)) from ended

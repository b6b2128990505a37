# SPDX-License-Identifier: Apache-2.0
"""The running program data_path_rounds: the example's data path, an epoch at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from peers.program import Ended, Program


@dataclass(frozen=True)
class Stages:
    """Seconds an image, in one thread."""

    read: float
    decode: float
    crop: float


@dataclass(frozen=True)
class Memory:
    """What the process has after so many images, in MiB."""

    images: int
    resident: float
    highest: float


class PixmimDataPath:
    """pixmim's side, with exact pixels or with the faster decoding."""

    def __init__(self, program: Path, folder: Path, workers: int, fast: bool) -> None:
        self._program = Program(program, folder, workers, "fast" if fast else "exact")
        self.close = self._program.close

    def images_a_second(self) -> float:
        """Of an epoch."""
        self._program.order("epoch")
        images, seconds = self._line().split()
        return int(images) / float(seconds)

    def stages(self) -> Stages:
        """Means over the photographs."""
        self._program.order("stages")
        return Stages(*map(float, self._line().split()))

    def memory(self) -> list[Memory]:
        """Of an epoch, told now and then."""
        self._program.order("memory")
        samples = []
        while line := self._line():
            images, resident, highest = map(int, line.split())
            samples.append(Memory(images, resident / 1024, highest / 1024))
        return samples

    def _line(self) -> str:
        try:
            return self._program.line()
        except Ended as ended:
            raise SystemExit(str(ended)) from ended

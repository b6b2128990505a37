# SPDX-License-Identifier: Apache-2.0
"""The running program data_path_rounds: the example's data path, an epoch at a time."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


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
        self._process = subprocess.Popen(
            [str(program), str(folder), str(workers), "fast" if fast else "exact"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def images_a_second(self) -> float:
        """Of an epoch."""
        self._order("epoch")
        images, seconds = self._line().split()
        return int(images) / float(seconds)

    def stages(self) -> Stages:
        """Means over the photographs."""
        self._order("stages")
        return Stages(*map(float, self._line().split()))

    def memory(self) -> list[Memory]:
        """Of an epoch, told now and then."""
        self._order("memory")
        samples = []
        while line := self._line():
            images, resident, highest = map(int, line.split())
            samples.append(Memory(images, resident / 1024, highest / 1024))
        return samples

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _order(self, order: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"data_path_rounds ended with {self._process.wait()}")
        return line.strip()

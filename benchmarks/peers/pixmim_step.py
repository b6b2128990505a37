# SPDX-License-Identifier: Apache-2.0
"""The running program step_rounds: training steps of a recipe, a round at a time."""

from __future__ import annotations

import subprocess
from pathlib import Path


class PixmimStep:
    def __init__(self, program: Path, recipe: str, batch: int, threads: int, dtype: str) -> None:
        self._process = subprocess.Popen(
            [str(program), recipe, str(batch), str(threads), dtype],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.library = self._line()

    def seconds(self, calls: int) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write(f"time {calls}\n")
        self._process.stdin.flush()
        return float(self._line())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"step_rounds ended with {self._process.wait()}")
        return line
